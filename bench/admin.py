"""How long the admin's lists of mentions take, over HTTP, with much stored.

    python -m bench.admin [--messages 2000000] [--requests 40] [--data FOLDER]

Starts a mongod, a Valkey and a web server of its own, fills the database as ``bench.api`` does,
signs a superuser and a moderator in, and asks for each page again and again, one request at a
time. Prints milliseconds (median, p95), seen from outside: session, permissions and the whole page
included.
"""

import argparse
import statistics
import sys
import time
from typing import Any

import requests

from autores.embedded.errors import EmbeddedError
from bench.api import provide_data, provide_folder
from bench.databases import connect_django, run_databases
from bench.report import describe_machine
from bench.seed import prepare_ours
from bench.servers import Side, run_servers

TARGET_MILLISECONDS = 150
_LIST = "/admin/mentions/message/"
_PAGES = {
    "first page": "",
    "second page": "?p=2",
    "pending": "?status__exact=pending",
    "one account": "?account={account}",
    "one account, pending": "?account={account}&status__exact=pending",
}


def main() -> None:
    options = _parse(sys.argv[1:])
    try:
        run(options)
    except EmbeddedError as error:
        sys.exit(f"{error}")


def run(options: argparse.Namespace) -> None:
    with provide_folder(options.data) as folder, run_databases(folder) as databases:
        connect_django(databases)
        provide_data(databases, folder, options)
        token = prepare_ours(accounts=options.accounts)
        cookies, account = _sign_in()
        with run_servers(databases, folder, token=token) as (_, ours):
            print(f"{describe_machine()['cpu']}, {options.messages:,} messages, ms:")
            print(f"{'':<14}{'':<24}{'median':>8}{'p95':>8}")
            worst = 0.0
            for who, cookie in cookies.items():
                for name, query in _PAGES.items():
                    address = _LIST + query.format(account=account)
                    median, late = _time(ours, address, cookie, options.requests)
                    worst = max(worst, median if name == "first page" else 0)
                    print(f"{who:<14}{name:<24}{median:>8.0f}{late:>8.0f}", flush=True)
    verdict = "met" if worst < TARGET_MILLISECONDS else "missed"
    print(f"First page under {TARGET_MILLISECONDS} ms: {verdict} ({worst:.0f}).")


def _sign_in() -> tuple[dict[str, str], str]:
    """The session cookies of a superuser and of a moderator, and the id of one account."""
    from django.conf import settings
    from django.core.management import call_command
    from django.test import Client

    from accounts.models import TwitterAccount, User

    # A deployment's pages name their files by what is in them.
    call_command("collectstatic", interactive=False, verbosity=0)
    moderator = User.objects.get(username="bench")
    moderator.is_staff = True
    moderator.save()
    root, _ = User.objects.get_or_create(
        username="bench-root", defaults={"is_staff": True, "is_superuser": True}
    )
    cookies = {}
    for name, user in (("superuser", root), ("moderator", moderator)):
        client = Client()
        client.force_login(user)
        cookies[name] = client.cookies[settings.SESSION_COOKIE_NAME].value
    account = TwitterAccount.objects.order_by("pk").first()
    assert account is not None
    return cookies, account.pk


def _time(ours: Side, address: str, cookie: str, times: int) -> tuple[float, float]:
    from django.conf import settings

    # As the TLS proxy passes it on; the session's cookie goes over TLS alone.
    headers = {"X-Forwarded-Proto": "https", "Cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}"}
    seen: list[float] = []
    with requests.Session() as session:
        session.trust_env = False
        for number in range(times + 3):
            began = time.perf_counter()
            answer = session.get(
                f"{ours.url}{address}", headers=headers, timeout=60, allow_redirects=False
            )
            took = (time.perf_counter() - began) * 1000
            if answer.status_code != 200 or "result_list" not in answer.text:
                sys.exit(f"{address} answered {answer.status_code}, not a list.")
            # The first ones load templates.
            if number >= 3:
                seen.append(took)
    return statistics.median(seen), sorted(seen)[int(len(seen) * 0.95)]


def _parse(arguments: list[str]) -> Any:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=2_000_000)
    parser.add_argument("--accounts", type=int, default=3, help="X accounts they belong to")
    parser.add_argument("--requests", type=int, default=40, help="of each page")
    parser.add_argument("--data", metavar="FOLDER", help="keep the databases here, use them again")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
