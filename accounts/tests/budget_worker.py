"""A process of the race test: tries to take places, keeping its rows in a file of its own.

Arguments: a folder for all rows, this worker's name, how many to try. For each it writes "+key",
then reserves; "-key" if that was refused. Prints the keys it was let through with.
"""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path


def read_rows(folder: Path) -> dict[str, datetime]:
    """What stands in the files now: the rows as another process sees them."""
    rows: dict[str, datetime] = {}
    for path in folder.iterdir():
        for line in path.read_text().splitlines():
            sign, key, at = line[0], *line[1:].split()
            if sign == "+":
                rows[key] = datetime.fromisoformat(at)
            else:
                rows.pop(key, None)
    return rows


def main(folder: Path, name: str, count: int) -> None:
    from accounts.budgets import POSTS, register_history, reserve
    from accounts.errors import BudgetSpentError, BudgetUnavailableError

    def history(budget: str, since: datetime) -> Iterable[tuple[str, datetime]]:
        return list(read_rows(folder).items()) if budget == "posts" else []

    register_history(history)
    let_through = []
    with (folder / name).open("a", buffering=1) as rows:
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(count):
            key, now = f"{name}-{number}", datetime.now(UTC)
            rows.write(f"+{key} {now.isoformat()}\n")
            while True:
                try:
                    reserve(POSTS, account_id="a", key=key, now=now)
                except BudgetUnavailableError:
                    # Redis forgot faster than the log was read anew: put off, as a sender does.
                    continue
                except BudgetSpentError:
                    rows.write(f"-{key} {now.isoformat()}\n")
                else:
                    let_through.append(key)
                break
    print(" ".join(let_through), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
