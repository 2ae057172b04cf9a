"""Every accepted reply is on X once, or ended with a reason that X's state confirms."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from chaos.checker.facts import Facts, Row
from chaos.checker.report import Report

_STATES = frozenset({"queued", "sending", "sent", "failed", "unknown"})
_LEADING_HANDLES = re.compile(r"\A(?:\s*@\w{1,20}\b)+")
_LINK = re.compile(r"https?://\S+")
# Which post or message: (account on X, whom or what it answers, text).
Place = tuple[str, str, str]


def plain(text: str) -> str:
    """Equal for a text and for what X made of it: handles, links and escapes aside."""
    text = _LINK.sub("<link>", _LEADING_HANDLES.sub("", text))
    for escaped, char in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(escaped, char)
    return " ".join(text.split())


def check_sends(facts: Facts, report: Report) -> None:
    sends = _Sends(facts)
    rows = facts.stored.replies
    states = Counter(row["state"] for row in rows)
    report.figure("replies accepted by the API", len(facts.promised.accepted))
    for kind, name in (("public", "public replies"), ("dm", "direct messages")):
        report.figure(f"rows: {name}", sum(row["kind"] == kind for row in rows))
    for state in ("sent", "failed"):
        report.figure(f"rows {state}", states[state])
    report.figure("on X: public replies", sum(sends.posts.values()))
    report.figure("on X: direct messages", sum(sends.dms.values()))
    report.check("duplicates on X", sends.find_duplicates())
    report.check("lost replies", sends.find_lost())
    report.check("on X, but no row says so", sends.find_unaccounted())
    report.check("failed without X confirming the reason", sends.find_unconfirmed())
    report.check("rows in a wrong state", sends.find_wrong_states())
    _check_unknown(facts, report)


def _check_unknown(facts: Facts, report: Report) -> None:
    name = "settled without a person"
    ever = {
        row["object_id"] for row in facts.stored.audit if row["action"].startswith("reply.unknown.")
    }
    ever |= {row["_id"] for row in facts.stored.replies if row["state"] == "unknown"}
    by_person = {
        row["_id"]
        for row in facts.stored.replies
        if row["_id"] in ever
        and (row["state"] == "unknown" or "settled_by" in (row.get("proof") or {}))
    }
    report.figure("rows whose outcome was unknown", len(ever))
    report.figure("of these left to a person", len(by_person))
    if not ever:
        return
    share = 1 - len(by_person) / len(ever)
    report.figure(name, f"{share:.2%}")
    if share < 0.99:
        report.fail(name, f"{share:.2%} of {len(ever)} rows, at least 99 % are wanted")


class _Sends:
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        x_ids = facts.account_x_ids()
        self._posts: defaultdict[Place, list[str]] = defaultdict(list)
        for post in facts.x.posts.values():
            if facts.x.is_post_of_ours(post, x_ids):
                place = (post["author_id"], post["in_reply_to"] or "", plain(post["text"]))
                self._posts[place].append(post["id"])
        self._dms: defaultdict[Place, list[str]] = defaultdict(list)
        for dm in facts.x.dms:
            if dm["sender_id"] in x_ids:
                place = (dm["sender_id"], dm["recipient_id"], plain(dm["text"]))
                self._dms[place].append(dm["id"])
        self.posts = Counter({place: len(ids) for place, ids in self._posts.items()})
        self.dms = Counter({place: len(ids) for place, ids in self._dms.items()})
        self._wanted: dict[str, Counter[Place]] = {"public": Counter(), "dm": Counter()}
        self._sent: dict[str, Counter[Place]] = {"public": Counter(), "dm": Counter()}
        for row in facts.stored.replies:
            place = self._place(row)
            self._wanted[row["kind"]][place] += 1
            if row["state"] == "sent":
                self._sent[row["kind"]][place] += 1

    def _place(self, row: Row) -> Place:
        message = self._message(row)
        target = message.get("user", "")
        if row["kind"] == "public":
            target = message.get("latest_post_id") or message.get("post_id", "")
        return self._facts.x_id_of(row["account_id"]), target, plain(row["text"])

    def _message(self, row: Row) -> Row:
        return self._facts.stored.messages.get(row["message_id"], {})

    def find_duplicates(self) -> Iterator[str]:
        """More of the same on X than rows that stand for it."""
        for kind, on_x in (("public", self.posts), ("dm", self.dms)):
            for place, count in on_x.items():
                # A row stands for one at most; none standing for it is another fault.
                extra = count - max(1, self._sent[kind][place])
                for _ in range(extra):
                    yield f"{kind} {place} is on X {count} times"

    def find_lost(self) -> Iterator[str]:
        keys = {
            row["idempotency_key"].rpartition(":")[2]: row for row in self._facts.stored.replies
        }
        for accepted in self._facts.promised.accepted:
            row = keys.get(accepted["key"])
            if row is None or (row["message_id"], row["kind"], row["text"]) != (
                accepted["message_id"],
                accepted["kind"],
                accepted["text"],
            ):
                yield f"accepted as {accepted['key']}, and there is no row of it"
        for kind, on_x in (("public", self.posts), ("dm", self.dms)):
            for place, count in self._sent[kind].items():
                for _ in range(count - on_x[place]):
                    yield f"{kind} {place} is sent by our rows, and not on X"

    def find_unaccounted(self) -> Iterator[str]:
        for kind, on_x in (("public", self.posts), ("dm", self.dms)):
            for place, count in on_x.items():
                if not self._sent[kind][place]:
                    yield f"{kind} {place} is on X ({count}), and no row is sent with it"

    def find_unconfirmed(self) -> Iterator[str]:
        for row in self._facts.stored.replies:
            if row["state"] == "failed" and not self._is_confirmed(row):
                yield f"{row['kind']} {row['_id']} failed by {row['reason_code']}: {row['reason']}"

    def _is_confirmed(self, row: Row) -> bool:
        x, message = self._facts.x, self._message(row)
        account_x_id, target, text = self._place(row)
        parent = x.posts.get(target, {})
        author = x.users.get(message.get("user", ""), {})
        has_blocked = account_x_id in author.get("blocks", [])
        match row["reason_code"]:
            case "cancelled":
                return row.get("attempts", 0) == 0 and row.get("sending_at") is None
            case "reply_target_gone":
                return bool(parent.get("is_deleted"))
            case "blocked_by_author":
                return has_blocked
            case "recipient_closed":
                return has_blocked or not author.get("receives_your_dm", True)
            case "duplicate_content":
                # The same words by the same account, elsewhere.
                return any(
                    place[0] == account_x_id and place[2] == text and place[1] != target
                    for place in self.posts
                )
        return False

    def find_wrong_states(self) -> Iterator[str]:
        now = self._facts.read_at
        posts = {post_id: place for place, ids in self._posts.items() for post_id in ids}
        dms = {dm_id: place for place, ids in self._dms.items() for dm_id in ids}
        claimed = Counter(
            (row["account_id"], row["x_post_id"])
            for row in self._facts.stored.replies
            if row.get("x_post_id")
        )
        for row in self._facts.stored.replies:
            name = f"{row['kind']} {row['_id']} is {row['state']}"
            if row["state"] not in _STATES:
                yield f"{name}: no such state"
            elif row["state"] == "queued" and row["not_before"] <= now:
                yield f"{name} since {row['not_before']}: {row['reason_code']}"
            elif row["state"] == "sending" and row["lease_until"] <= now:
                yield f"{name}, and its lease ended at {row['lease_until']}"
            elif row["state"] == "unknown" and not (row.get("proof") or {}).get("needs_person"):
                yield f"{name}, and nobody knows why: {row['reason_code']}"
            elif row["state"] == "failed" and not row["reason"]:
                yield f"{name} without a sentence"
            elif row["state"] == "sent":
                on_x = posts if row["kind"] == "public" else dms
                x_id = row.get("x_post_id")
                if x_id and on_x.get(x_id) != self._place(row):
                    yield f"{name} as {x_id}, which says something else on X"
                if x_id and claimed[row["account_id"], x_id] > 1:
                    yield f"{name} as {x_id}, and so is another row"
                if self._message(row).get("status") != "replied":
                    yield f"{name}, and its mention is {self._message(row).get('status')}"
