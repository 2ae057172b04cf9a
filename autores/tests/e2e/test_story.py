"""One mention's whole life, told once, over the real processes. Read this file first.

X and OpenAI are the sandbox's; web server, Celery worker, beat, MongoDB and Valkey are real.
"""

from accounts.models import Role, TwitterAccount
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import PASSWORD, create_person, give_role
from autores.tests.e2e.conftest import StartAutores
from autores.tests.e2e.people import AdminPerson, ApiPerson

POLLING_MINUTES = "0.04"


def test_mention_is_answered_once_when_all_processes_run(
    start_autores: StartAutores, sandbox: RunningSandbox
) -> None:
    create_person("ana")
    bruno_row = create_person("bruno")
    create_person("carla")
    x = sandbox.control
    x.create_user("aurora_coffee", name="Aurora Coffee")
    autores = start_autores("web", "worker", "beat", TWITTER_POLLING_INTERVAL=POLLING_MINUTES)

    def sign_in(username: str) -> ApiPerson:
        return ApiPerson(autores.web_url, username=username, password=PASSWORD)

    with (
        sign_in("ana") as ana,
        sign_in("bruno") as bruno,
        sign_in("carla") as carla,
        AdminPerson(autores.web_url, username="ana", password=PASSWORD) as ana_at_the_desk,
    ):
        # Ana connects the account, and beat polls it; what was there before would be its baseline.
        account = ana.connect_account("aurora_coffee", on=x)
        give_role(bruno_row, TwitterAccount.objects.get(pk=account["id"]), Role.RESPONDER)

        def last_poll() -> str | None:
            return ana.get_json("GET", f"/accounts/{account['id']}")["last_polled_at"]

        autores.wait_until("the new account is polled", last_poll)

        # Four people mention it.
        posts = [
            x.create_mention(account="aurora_coffee", author=author, text=f"@aurora_coffee {text}")
            for author, text in (
                ("dora", "are you open on Sundays?"),
                ("emil", "my order 5512 never came"),
                ("fay", "where do your beans come from?"),
                ("gus", "win a free phone at my page"),
            )
        ]
        opening_hours, lost_order, beans, spam = (
            autores.wait_until(
                "the mention is in the list", lambda post=post: ana.find_message(post)
            )
            for post in posts
        )
        assert {row["status"] for row in (opening_hours, lost_order, beans, spam)} == {"pending"}
        assert opening_hours["author_username"] == "dora"

        # The worker drafts a reply. Ana reads it at the desk, changes it, approves: it is sent.
        autores.wait_until(
            "the model's draft is ready", lambda: ana.list_drafts(opening_hours["id"])
        )
        (draft,) = ana.list_drafts(opening_hours["id"])
        desk = ana_at_the_desk.open(f"/admin/mentions/message/{opening_hours['id']}/change/")
        assert desk.fields["text"] == draft["text"] != ""
        ana_at_the_desk.press(desk, "send", text="Yes, Dora: from nine to six.")
        autores.wait_until(
            "the approved draft is sent",
            lambda: ana.get_json("GET", f"/messages/{opening_hours['id']}")["status"] == "replied",
        )

        # Emil gets a public reply and a direct message, by the API.
        answered = ana.get_json(
            "POST",
            f"/messages/{lost_order['id']}/reply",
            params={"response": "Sorry, Emil! We look into it at once."},
        )
        assert answered["status"] == "replied"
        answered = ana.get_json(
            "POST",
            f"/messages/{lost_order['id']}/dm-reply",
            json={"response": "Which address was it sent to?"},
        )
        assert answered["dm_response"] == "Which address was it sent to?"

        # Bruno may draft, but not send; for Carla none of it exists.
        generated = bruno.get_json(
            "POST", f"/messages/{beans['id']}/generate-response", json={"custom_prompt": "Be brief"}
        )
        assert generated["generated_response"]
        refused = bruno.call("POST", f"/messages/{beans['id']}/reply", json={"response": "Peru."})
        assert (refused.status_code, refused.json()["code"]) == (403, "role_too_low")
        assert carla.list_messages() == []
        for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/reply")):
            hidden = carla.call(method, f"/messages/{beans['id']}{path}", json={})
            assert hidden.status_code == 404, (method, path, hidden.text)

        # Ana marks one, and deletes the spam; it does not come back with the next polls.
        changed = ana.get_json("PATCH", f"/messages/{beans['id']}", json={"redirected": True})
        assert changed["redirected"] is True
        ana.get_json("DELETE", f"/messages/{spam['id']}")
        assert ana.call("GET", f"/messages/{spam['id']}").status_code == 404
        # The first poll to end may have begun before the deletion; the second has not.
        for _ in range(2):
            polled_at = last_poll()
            autores.wait_until("another poll has ended", lambda at=polled_at: last_poll() != at)
        assert {row["id"] for row in ana.list_messages()} == {
            row["id"] for row in (opening_hours, lost_order, beans)
        }

    # X has each answer once, below the mention that it answers, and nothing else of ours.
    said = [(post["in_reply_to"], post["text"]) for post in x.list_posts(author="aurora_coffee")]
    assert said == [
        (opening_hours["post_id"], "@dora Yes, Dora: from nine to six."),
        (lost_order["post_id"], "@emil Sorry, Emil! We look into it at once."),
    ]
    assert [dm["text"] for dm in x.list_dms()] == ["Which address was it sent to?"]
    assert autores.find_tracebacks() == []
