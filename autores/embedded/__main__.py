"""Command line of the embedded services."""

import argparse
import sys
from pathlib import Path

from autores.embedded.demo import PREFERRED_PORTS, ROOT, run_demo


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m autores.embedded", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="run everything on this machine until Ctrl-C")
    demo.add_argument(
        "--port", type=_port, help=f"of the web server ({PREFERRED_PORTS['web']}); 0: any"
    )
    demo.add_argument(
        "--data", type=Path, default=ROOT / ".data", help="folder of all data and logs"
    )
    demo.add_argument("--fresh", action="store_true", help="forget earlier data first")
    options = parser.parse_args()
    return run_demo(options.data, web_port=options.port, is_fresh=options.fresh)


def _port(value: str) -> int:
    if not value.isdecimal() or int(value) > 65535:
        raise argparse.ArgumentTypeError(f"{value!r} is no port: a number from 0 to 65535")
    return int(value)


if __name__ == "__main__":
    sys.exit(main())
