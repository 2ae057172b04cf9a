#!/usr/bin/env python3
"""Django's command line for Autores."""

import gc
import os
import sys


def main() -> None:
    # Nothing of what is loaded is garbage; looking for some is a seventh of a start. AutoresConfig
    # switches it on again.
    gc.disable()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autores.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        sys.exit(f"Autores is not installed here ({error}). Run: make demo")
    from django.db import OperationalError
    from redis.exceptions import ConnectionError as RedisConnectionError

    try:
        try:
            execute_from_command_line(sys.argv)
        finally:
            sys.stdout.flush()
    except OperationalError as error:
        if "--traceback" in sys.argv:
            raise
        # The driver's first words name the server; what follows is its inner state.
        what = str(error).partition(" (configured")[0]
        sys.exit(f"MongoDB cannot be reached: {what}. Does it run, and is MONGODB_URL right?")
    except RedisConnectionError as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"Redis cannot be reached: {error} Does it run, and is REDIS_URL right?")
    except BrokenPipeError:
        # `| head` has read enough. Python would try once more when it ends, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
