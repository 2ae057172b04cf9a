"""Run the sandbox: python -m autores.sandbox --port 8090 --data sandbox.sqlite3"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from types import FrameType

from autores.sandbox.server import PortTakenError, start_in_thread
from autores.sandbox.world import Options


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m autores.sandbox",
        description="A stand-in X and a stand-in OpenAI over HTTP, for demos and tests.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090, help="0 takes a free one")
    parser.add_argument("--data", default=":memory:", help="an SQLite file; default: memory only")
    parser.add_argument("--client-id", default=os.environ.get("SANDBOX_CLIENT_ID"))
    parser.add_argument("--client-secret", default=os.environ.get("SANDBOX_CLIENT_SECRET"))
    parser.add_argument(
        "--callback",
        action="append",
        default=os.environ.get("SANDBOX_CALLBACKS", "").split(),
        help="a registered callback URL, matched to the letter; repeat for more "
        "(also SANDBOX_CALLBACKS, separated by spaces)",
    )
    parser.add_argument("--vocabulary", choices=["post", "tweet"], default="post")
    parser.add_argument("--limits", choices=["pay_per_use", "basic", "free", "unlimited"])
    parser.add_argument("--openai-key", help="accept only this key; default: any")
    parser.add_argument(
        "--autopilot", type=float, metavar="SECONDS", help="a mention arrives every so often"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    given = make_parser().parse_args(arguments)
    defaults = Options()
    settings: dict[str, object] = {"vocabulary": given.vocabulary}
    if given.limits:
        settings["limits"] = given.limits
    if given.autopilot:
        settings["autopilot"] = {"enabled": True, "every_seconds": given.autopilot}
    options = Options(
        client_id=given.client_id or defaults.client_id,
        client_secret=given.client_secret or defaults.client_secret,
        callbacks=tuple(given.callback) or defaults.callbacks,
        openai_key=given.openai_key,
        settings=settings,
    )
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    try:
        running = start_in_thread(
            host=given.host, port=given.port, data=given.data, options=options
        )
    except PortTakenError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command speaks to its terminal
        return 1
    # Likewise.
    print(f"X and OpenAI stand-ins, and their timeline: {running.url}", flush=True)  # noqa: T201
    stop.wait()
    running.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
