"""Every mention X would give is stored once; every other one lies in a gap, and nothing else."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from chaos.checker.facts import Facts, Row
from chaos.checker.report import Report

# X's mentions timeline reaches so far back, own posts in it included.
REACH = 800


def check_coverage(facts: Facts, report: Report) -> None:
    accounts = [_Account(facts, account_id) for account_id in facts.stored.accounts]
    known = set(facts.stored.accounts)
    strays = [
        row["_id"] for row in facts.stored.messages.values() if row["account_id"] not in known
    ]
    report.figure("mentions on X", sum(len(account.mentions) for account in accounts))
    report.figure("mentions stored", len(facts.stored.messages))
    found_by = Counter(row.get("found_by") or "nothing" for row in facts.stored.messages.values())
    for source, count in found_by.most_common():
        report.figure(f"stored, first shown by {source}", count)
    late = sum(bool(row.get("is_late")) for row in facts.stored.messages.values())
    report.figure("stored, and shown late", late)
    report.figure("gaps", sum(len(account.gaps) for account in accounts))
    report.figure("in gaps, found by search", sum(a.count_found() for a in accounts))
    unreachable = sum(len(account.find_unreachable()) for account in accounts)
    report.figure("unreachable by any reading of X", unreachable)
    report.figure(
        "reported lost: in a gap, not stored", sum(len(a.reported_lost) for a in accounts)
    )
    report.check("reachable, and not stored", _all(a.find_missed() for a in accounts))
    report.check("unreachable, and in no gap", _all(a.find_unreported() for a in accounts))
    report.check("stored twice", _all(a.find_doubled() for a in accounts))
    report.check("stored, and never on X", [*strays, *_all(a.find_invented() for a in accounts)])
    report.check("gaps that are wrong", _all(a.find_wrong_gaps() for a in accounts))


def _all(found: Iterator[Iterator[str]]) -> list[str]:
    return [what for one in found for what in one]


class _Account:
    def __init__(self, facts: Facts, account_id: str) -> None:
        row = facts.stored.accounts[account_id]
        self.name = f"@{row['twitter_username']}"
        self._x = facts.x
        self._now = facts.read_at
        cursor = facts.stored.cursors.get(account_id, {})
        self._floor = int(cursor.get("floor_post_id") or 0)
        self._baseline_at: datetime | None = cursor.get("baseline_at")
        self._feed = {int(entry["post_id"]): entry for entry in facts.x.feeds[row["twitter_id"]]}
        visible = [
            post_id
            for post_id, entry in self._feed.items()
            if not entry["is_gone"] and _time(entry["indexed_at"]) <= self._now
        ]
        self._in_reach = set(sorted(visible, reverse=True)[:REACH])
        # Own posts are in X's feed, and are no mentions; search finds some that are not in it.
        self.mentions = {
            post_id: entry for post_id, entry in self._feed.items() if entry["kind"] != "self"
        } | self._list_outside_the_feed(row["twitter_id"])
        self._rows = [
            message
            for message in facts.stored.messages.values()
            if message["account_id"] == account_id
        ]
        self._stored = Counter(int(message["post_id"]) for message in self._rows)
        self.gaps = [gap for gap in facts.stored.gaps if gap["account_id"] == account_id]
        self._missing = {
            post_id
            for post_id, entry in self.mentions.items()
            if post_id not in self._stored
            and not entry["is_gone"]
            and not self._is_of_before(post_id)
        }
        self.reported_lost = {
            post_id for post_id in self._missing if any(_is_in(post_id, gap) for gap in self.gaps)
        }

    def _list_outside_the_feed(self, x_id: str) -> dict[int, Row]:
        return {
            int(post["id"]): {
                "kind": "outside the feed",
                "indexed_at": post["indexed_at"],
                "is_gone": post["is_deleted"],
                "shown_at": None,
            }
            for post in self._x.posts.values()
            if int(post["id"]) not in self._feed
            and post["author_id"] != x_id
            and self._is_searchable(int(post["id"]))
        }

    def _is_of_before(self, post_id: int) -> bool:
        """Left out on purpose by the first poll: it was there before the account was."""
        if post_id > self._floor or self._baseline_at is None:
            return False
        return _time(self.mentions[post_id]["indexed_at"]) <= self._baseline_at

    def _is_searchable(self, post_id: int) -> bool:
        """X's search finds what names the account, and is no repost."""
        post = self._x.posts[str(post_id)]
        names = re.search(rf"{self.name}\b", post["text"], re.I) is not None
        return names and post["repost_of"] is None

    def find_unreachable(self) -> set[int]:
        """Not stored, and neither search nor the timeline's reach would give it now."""
        return {
            post_id
            for post_id in self._missing
            if post_id not in self._in_reach and not self._is_searchable(post_id)
        }

    def find_missed(self) -> Iterator[str]:
        for post_id in sorted(self._missing - self.find_unreachable()):
            by = "search" if self._is_searchable(post_id) else "the timeline"
            yield f"{self.name}: {post_id} ({self.mentions[post_id]['kind']}) is given by {by}"

    def find_unreported(self) -> Iterator[str]:
        for post_id in sorted(self.find_unreachable() - self.reported_lost):
            entry = self.mentions[post_id]
            yield f"{self.name}: {post_id} ({entry['kind']}), shown: {entry['shown_at']}"

    def find_doubled(self) -> Iterator[str]:
        for post_id, count in self._stored.items():
            if count > 1:
                yield f"{self.name}: {post_id} is stored {count} times"

    def find_invented(self) -> Iterator[str]:
        for post_id in self._stored:
            if post_id not in self.mentions:
                yield f"{self.name}: {post_id}"

    def count_found(self) -> int:
        return sum(any(_is_in(post_id, gap) for gap in self.gaps) for post_id in self._stored)

    def find_wrong_gaps(self) -> Iterator[str]:
        for gap in self.gaps:
            name = f"{self.name}: the gap after {gap['from_post_id']} ({gap['state']})"
            if gap["state"] == "open":
                yield f"{name} was not read to its end"
            inside = [post_id for post_id in self._stored if _is_in(post_id, gap)]
            if gap["found"] != len(inside):
                yield f"{name} says {gap['found']} found, and {len(inside)} are stored"
            passed = [
                post_id
                for post_id, entry in self._feed.items()
                if post_id > int(gap["from_post_id"])
                and _time(entry["indexed_at"]) <= gap["created_at"]
            ]
            if len(passed) < REACH:
                yield f"{name} is none: X showed all of {len(passed)}"


def _is_in(post_id: int, gap: Row) -> bool:
    return int(gap["from_post_id"]) < post_id < int(gap["to_post_id"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
