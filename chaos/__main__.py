"""Command line: python -m chaos --size small --seed 7"""

import argparse
import secrets
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from types import FrameType

from autores.embedded.errors import EmbeddedError
from chaos.run import Run
from chaos.sizes import SIZES


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m chaos",
        description="Run Autores while everything breaks, then check that nothing was lost or "
        "doubled. Databases and processes are its own; Ctrl-C stops them all.",
    )
    parser.add_argument("--size", choices=SIZES, default="full", help="default: full")
    parser.add_argument("--seed", type=int, help="repeats the choices of a run; default: by chance")
    parser.add_argument("--only", metavar="EVENT", help="one kind of event, such as lose_valkey")
    parser.add_argument("--rounds", type=int, help="how often each event comes")
    parser.add_argument("--keep", action="store_true", help="keep logs and data of a good run, too")
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    size = SIZES[given.size]
    if given.rounds:
        size = replace(size, rounds=given.rounds)
    folder = Path(tempfile.mkdtemp(prefix="autores-chaos-"))
    say(f"size {given.size}, seed {seed}; logs in {folder / 'logs'}")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    code = 1
    try:
        code = Run(folder, size=size, seed=seed, only=given.only, say=say).execute()
    except KeyboardInterrupt:
        say("Interrupted.")
        code = 130
    except EmbeddedError as error:
        say(str(error))
    finally:
        if code == 0 and not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            say(f"kept: {folder}")
    say(f'repeat it with: make chaos ARGS="--size {given.size} --seed {seed}"')
    return code


def say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
