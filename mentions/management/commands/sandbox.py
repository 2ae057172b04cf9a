"""Run the sandbox, or script one that runs: mentions, faults, time, a look at its timeline."""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

DEFAULT_URL = "http://127.0.0.1:8090"


class Command(BaseCommand):
    help = "Run the stand-in for X and OpenAI, or tell a running one what should happen."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--url", help="where the sandbox runs (default: X_API_BASE_URL when it is on loopback)"
        )
        actions = parser.add_subparsers(dest="action", required=True)

        serve = actions.add_parser("serve", help="run it here until Ctrl-C")
        serve.add_argument("--host", default="127.0.0.1")
        serve.add_argument("--port", default="8090")
        serve.add_argument("--data", default=":memory:")
        serve.add_argument("--autopilot", help="seconds between mentions that arrive by themselves")

        user = actions.add_parser("user", help="create a user, or change the one of that name")
        user.add_argument("username")
        user.add_argument("--name")
        user.add_argument("--closed-inbox", action="store_true", help="refuses direct messages")

        mention = actions.add_parser("mention", help="make mentions of an account arrive")
        mention.add_argument("account", help="username of the account")
        mention.add_argument("text", nargs="?")
        mention.add_argument("--author")
        mention.add_argument(
            "--kind", choices=["direct", "implicit", "quote", "repost", "reply"], default="direct"
        )
        mention.add_argument("--count", type=int, default=1)
        mention.add_argument("--in-reply-to")
        mention.add_argument("--reply-settings")
        mention.add_argument("--index-delay", type=float, help="seconds until X's index has it")

        fault = actions.add_parser(
            "fault",
            help="script a fault; without arguments list those that are armed",
            epilog=_describe_faults(),
            formatter_class=RawDescriptionHelpFormatter,
        )
        fault.add_argument("route", nargs="?", help="which calls are hit, see below")
        fault.add_argument("fault", nargs="?", help="what happens to them, see below")
        fault.add_argument("--times", type=int, default=1, help="0: until cleared")
        fault.add_argument("--after", type=int, default=0, help="calls let through first")
        fault.add_argument("--account-id", help="only calls for this X user id")
        fault.add_argument(
            "--param",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a parameter of the fault, see below; may be repeated",
        )
        fault.add_argument("--clear", action="store_true", help="remove all faults")

        actions.add_parser("timeline", help="print the threads and messages")

        clock = actions.add_parser("clock", help="show or move the sandbox's time")
        clock.add_argument("--advance", type=float, metavar="SECONDS")

        autopilot = actions.add_parser("autopilot", help="let mentions arrive by themselves")
        autopilot.add_argument("state", choices=["on", "off"])
        autopilot.add_argument("--every", type=float, default=20, metavar="SECONDS")

        actions.add_parser("reset", help="wipe users, posts, tokens, faults")

    def handle(self, *args: Any, **options: Any) -> None:
        # The stand-in is a development tool: only running this command may load it.
        from autores.sandbox.control import SandboxControl, SandboxControlError

        if options["action"] == "serve":
            self._serve(options)
            return
        control = SandboxControl(options["url"] or _running_url())
        try:
            getattr(self, f"_{options['action']}")(control, options)
        except SandboxControlError as error:
            raise CommandError(str(error)) from error
        finally:
            control.close()

    def _serve(self, options: dict[str, Any]) -> None:
        try:
            from autores.sandbox.__main__ import main
        except ModuleNotFoundError as error:
            raise CommandError(
                f"the sandbox needs {error.name}: pip install -r requirements-dev.txt"
            ) from error
        arguments = ["--host", options["host"], "--port", options["port"]]
        arguments += ["--data", options["data"]]
        if options["autopilot"]:
            arguments += ["--autopilot", options["autopilot"]]
        for name, flag in (
            ("TWITTER_CLIENT_ID", "--client-id"),
            ("TWITTER_CLIENT_SECRET", "--client-secret"),
            ("TWITTER_CALLBACK_URL", "--callback"),
        ):
            value = str(getattr(settings, name, "") or "")
            if value:
                arguments += [flag, value]
        if main(arguments) != 0:
            raise CommandError("the sandbox did not start")

    def _user(self, control: Any, options: dict[str, Any]) -> None:
        values = {"name": options["name"]} if options["name"] else {}
        user = control.create_user(
            options["username"], receives_your_dm=not options["closed_inbox"], **values
        )
        self.stdout.write(f"@{user['username']} has the id {user['id']}")

    def _mention(self, control: Any, options: dict[str, Any]) -> None:
        wanted = {
            "account": options["account"].lstrip("@"),
            "text": options["text"],
            "author": options["author"],
            "kind": options["kind"],
            "count": options["count"],
            "in_reply_to": options["in_reply_to"],
            "reply_settings": options["reply_settings"],
            "index_delay_seconds": options["index_delay"],
        }
        posts = control.create_mentions(
            **{key: value for key, value in wanted.items() if value is not None}
        )
        for post in posts[:10]:
            self.stdout.write(f"{post['id']} @{post['author']}: {post['text']}")
        if len(posts) > 10:
            self.stdout.write(f"... and {len(posts) - 10} more")

    def _fault(self, control: Any, options: dict[str, Any]) -> None:
        if options["clear"]:
            control.clear_faults()
        elif options["route"]:
            if not options["fault"]:
                raise CommandError("name the fault as well, for example: fault mentions slow")
            fault_id = control.add_fault(
                options["route"],
                options["fault"],
                times=options["times"] or None,
                after=options["after"],
                account_id=options["account_id"],
                params=dict(_read_parameter(text) for text in options["param"]),
            )
            self.stdout.write(f"fault {fault_id} is armed")
            return
        faults = control.list_faults()
        for fault in faults:
            times = "every time" if fault["times"] is None else f"of {fault['times']}"
            self.stdout.write(
                f"{fault['id']}: {fault['route']} {fault['fault']}, fired {fault['fired']} {times}"
            )
        if not faults:
            self.stdout.write("no faults")

    def _timeline(self, control: Any, options: dict[str, Any]) -> None:
        timeline = control.read_timeline()
        for thread in timeline["threads"]:
            for post in thread["posts"]:
                self.stdout.write(f"{'  ' * post['depth']}@{post['author']}: {post['text']}")
        for message in timeline["dms"]:
            self.stdout.write(
                f"DM @{message['sender']} to @{message['recipient']}: {message['text']}"
            )

    def _clock(self, control: Any, options: dict[str, Any]) -> None:
        now = control.set_clock(advance_seconds=options["advance"] or 0)
        self.stdout.write(f"the sandbox's time is {now['now']}")

    def _autopilot(self, control: Any, options: dict[str, Any]) -> None:
        control.set_autopilot(enabled=options["state"] == "on", every_seconds=options["every"])
        self.stdout.write(f"autopilot is {options['state']}")

    def _reset(self, control: Any, options: dict[str, Any]) -> None:
        control.reset()
        self.stdout.write("the sandbox is empty")


def _describe_faults() -> str:
    from autores.sandbox.faults import describe_faults

    # argparse takes a percent sign for a placeholder.
    return describe_faults().replace("%", "%%")


def _running_url() -> str:
    configured = str(getattr(settings, "X_API_BASE_URL", "") or "")
    is_loopback = any(host in configured for host in ("//127.0.0.1", "//localhost", "//[::1]"))
    return configured if is_loopback else DEFAULT_URL


def _read_parameter(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise CommandError(f"--param {text}: write NAME=VALUE, for example seconds=3")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
