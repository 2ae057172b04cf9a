#!/usr/bin/env python3
"""Django's command line for Autores."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autores.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        sys.exit(f"Autores is not installed here ({error}). Run: make demo")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
