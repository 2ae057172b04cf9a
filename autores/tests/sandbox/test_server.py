"""The server as a process and as a thread; the control API; the page a person looks at."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest
import requests

from autores.sandbox.control import SandboxControl, SandboxControlError
from autores.sandbox.server import PortTakenError, start_in_thread


def start_process(*arguments):
    command = [sys.executable, "-m", "autores.sandbox", "--port", "0", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "http://" in line, process.stderr.read()
    return process, line.rsplit(" ", 1)[-1].strip()


@pytest.fixture
def run(tmp_path):
    """Start the sandbox as a program on a file; killed in the end."""
    processes = []

    def start(*arguments):
        process, url = start_process("--data", str(tmp_path / "x.sqlite3"), *arguments)
        processes.append(process)
        return process, SandboxControl(url)

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        process.stdout.close()
        process.stderr.close()


def test_everything_is_kept_when_the_process_is_killed(run):
    process, control = run()
    account = control.create_user("acme")
    grant = control.issue_tokens("acme")
    mention = control.create_mention(account="acme", author="ana")
    control.advance_clock(100)
    headers = {"Authorization": f"Bearer {grant['access_token']}"}
    path = f"/2/users/{account['id']}/mentions"
    first = requests.get(control.base_url + path, headers=headers, timeout=5)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    control.close()

    _, control = run()
    second = requests.get(control.base_url + path, headers=headers, timeout=5)
    assert [post["id"] for post in second.json()["data"]] == [mention["id"]]
    assert int(second.headers["x-rate-limit-remaining"]) == 298
    assert second.headers["x-rate-limit-reset"] == first.headers["x-rate-limit-reset"]
    newer = control.create_mention(account="acme", author="ana")
    assert int(newer["id"]) > int(mention["id"])
    form = {"grant_type": "refresh_token", "refresh_token": grant["refresh_token"]}
    answer = requests.post(
        control.base_url + "/2/oauth2/token",
        data=form,
        auth=("sandbox-client", "sandbox-secret"),
        timeout=5,
    )
    assert answer.status_code == 200
    control.close()


def test_process_ends_quickly_and_cleanly_when_told_during_a_held_call(run):
    process, control = run()
    control.create_user("acme")
    control.add_fault("me", "timeout_before")

    def call():
        with pytest.raises(requests.RequestException):
            requests.get(control.base_url + "/2/users/me", timeout=20)

    thread = threading.Thread(target=call)
    thread.start()
    while not control.list_faults()[0]["fired"]:
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert time.monotonic() - began < 5
    thread.join(5)
    assert not thread.is_alive()
    control.close()


def test_port_is_named_when_another_program_holds_it():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=str(port)):
            start_in_thread(port=port)
        command = [sys.executable, "-m", "autores.sandbox", "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert str(port) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_no_thread_is_left_when_stopped():
    before = set(threading.enumerate())
    running = start_in_thread()
    with requests.Session() as session:
        session.get(running.url, timeout=5)
        running.stop()
        deadline = time.monotonic() + 5
        while set(threading.enumerate()) - before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert set(threading.enumerate()) - before == set()


def test_connection_is_kept_when_calls_follow_each_other(sandbox, acme):
    connection = HTTPConnection(sandbox.url.removeprefix("http://"), timeout=5)
    headers = {"Authorization": str(acme.session.headers["Authorization"])}
    statuses, sockets = [], set()
    for method, path, body in (
        ("GET", "/2/users/me", None),
        ("POST", "/2/tweets", b"not read by anyone"),
        ("GET", "/nowhere", None),
        ("GET", "/2/users/me", None),
    ):
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
        sockets.add(connection.sock)
    connection.close()
    assert statuses == [200, 400, 404, 200]
    assert len(sockets) == 1
    assert None not in sockets


def test_posts_are_all_there_once_when_many_write_at_once(sandbox, sign_in):
    sandbox.control.set_limits(preset="unlimited")
    callers = [sign_in(f"account_{number}") for number in range(4)]

    def write(number):
        caller = callers[number % 4]
        return caller.call("POST", "/2/tweets", json={"text": f"post {number}"}).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(write, range(80)))
    assert codes == [201] * 80
    posts = sandbox.control.list_posts()
    assert len({post["id"] for post in posts}) == 80


def test_1500_mentions_arrive_in_one_call_with_ids_that_rise(sandbox, acme):
    posts = sandbox.control.create_mentions(account="acme", count=1500, text="Hello")
    ids = [int(post["id"]) for post in posts]
    assert ids == sorted(set(ids))
    assert len({post["text"] for post in posts}) == 1500
    assert len({post["author"] for post in posts}) > 10


def test_nothing_is_left_when_reset(sandbox, acme):
    sandbox.control.create_mention(account="acme")
    sandbox.control.add_fault("*", "slow")
    sandbox.control.advance_clock(1000)
    sandbox.control.reset()
    assert sandbox.control.list_users() == []
    assert sandbox.control.list_posts() == []
    assert sandbox.control.list_faults() == []
    assert sandbox.control.list_calls() == []
    assert acme.get("/2/users/me").status_code == 401


def test_calls_are_recorded_without_secrets(sandbox, acme):
    acme.mentions(max_results=5)
    acme.reply("Hello", "404")
    calls = sandbox.control.list_calls(account_id=acme.user_id)
    assert [(call["route"], call["status"]) for call in calls] == [
        ("mentions", 200),
        ("create_post", 400),
    ]
    assert calls[0]["query"] == {"max_results": "5"}
    assert sandbox.control.list_calls(route="me") == []
    token = acme.session.headers["Authorization"].removeprefix("Bearer ")
    assert token not in str(calls)


def test_time_stands_still_when_frozen(sandbox, acme):
    sandbox.control.set_clock(now="2026-05-01T10:00:00Z", frozen=True)
    frozen = sandbox.control.set_clock(now="2026-05-01T10:00:00Z")
    assert frozen["now"] == "2026-05-01T10:00:00.000Z"
    post = sandbox.control.create_mention(account="acme")
    assert post["created_at"] == "2026-05-01T10:00:00.000Z"
    sandbox.control.advance_clock(1.5)
    assert sandbox.control.create_mention(account="acme")["created_at"].endswith("01.500Z")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "name the user"),
        ({"account": "nobody"}, "no user @nobody"),
        ({"account": "acme", "kind": "shout"}, "kind"),
        ({"account": "acme", "count": 0}, "count"),
        ({"account": "acme", "in_reply_to": "404"}, "in_reply_to"),
        ({"account": "acme", "created_at": "yesterday"}, "created_at"),
        ({"account": "acme", "reply_settings": "nobody"}, "reply_settings"),
        ({"account": "acme", "author": "far too long a name"}, "15 letters"),
        ({"account": "acme", "colour": "blue"}, "colour"),
    ],
)
def test_mention_is_refused_with_the_remedy_when_it_makes_no_sense(sandbox, acme, values, words):
    with pytest.raises(SandboxControlError, match=words):
        sandbox.control.create_mentions(**values)


def test_control_says_how_to_start_one_when_nothing_answers():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    control = SandboxControl(f"http://127.0.0.1:{port}")
    with pytest.raises(SandboxControlError, match="python -m autores"):
        control.check_health()
    control.close()


def test_mentions_arrive_by_themselves_when_the_autopilot_is_on(sandbox, acme):
    sandbox.control.set_autopilot(every_seconds=0.25)
    deadline = time.monotonic() + 10
    while len(acme.mentions().get("data", [])) < 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    sandbox.control.set_autopilot(enabled=False)
    posts = sandbox.control.list_posts()
    assert len([post for post in posts if post["author"] != "acme"]) >= 3


def test_page_shows_threads_and_messages_and_runs_no_ones_script(sandbox, acme):
    mention = sandbox.control.create_mention(
        account="acme", author="ana", text="<script>alert(1)</script> & https://example.com/help"
    )
    acme.reply("Here <b>you</b> are", mention["id"])
    sandbox.control.send_dm(sender="ana", recipient="acme", text="<img src=x onerror=alert(2)>")
    page = requests.get(sandbox.url, timeout=5).text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
    assert "<b>you" not in page
    assert "<img" not in page
    assert 'href="https://example.com/help"' in page
    (thread,) = sandbox.control.read_timeline()["threads"]
    assert [(post["author"], post["depth"]) for post in thread["posts"]] == [
        ("ana", 0),
        ("acme", 1),
    ]


def test_page_loads_when_empty_or_narrowed_to_an_account(sandbox, acme):
    assert "Nothing has happened yet" in requests.get(sandbox.url, timeout=5).text
    sandbox.control.create_mention(account="acme", author="ana", text="Bonjour")
    for account, is_there in (("acme", True), ("nobody", False)):
        page = requests.get(sandbox.url, params={"account": account}, timeout=5).text
        assert ("Bonjour" in page) is is_there
