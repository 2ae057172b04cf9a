"""The commands that docs/api.md prints, as a script that bash runs."""

import re

_BLOCK = re.compile(r"^```console walk\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def extract_walk(markdown: str) -> str:
    """Commands of the blocks marked ``console walk``: lines after ``$ ``, continued by ``> ``.

    The script wants DEMO_URL, DEMO_SANDBOX_URL, DEMO_USERNAME and DEMO_PASSWORD in its
    environment, and stops at the first command that fails.
    """
    lines = [
        line[2:]
        for block in _BLOCK.findall(markdown)
        for line in block.splitlines()
        if line.startswith(("$ ", "> "))
    ]
    return "\n".join(["set -euo pipefail", *lines, ""])
