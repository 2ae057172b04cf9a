"""The checker must be able to fail: every kind of wrong is planted once, and seen by name."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta

import pytest

from chaos.checker.__main__ import check
from chaos.checker.facts import Facts, Promised, Row, Stored, XState

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ACME, LENA = "900", "77"
# Ids of mentions, oldest first: 100 are from before the account, 200 to 1109 from after it.
FIRST, LAST = 200, 1109


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def post(post_id: int | str, author: str, text: str, **values: object) -> Row:
    plain = {"in_reply_to": None, "repost_of": None, "source": "control", "is_deleted": False}
    return {
        "id": str(post_id), "author_id": author, "text": text, "indexed_at": at(-60).isoformat(),
        **plain, **values,
    }  # fmt: skip


def message(post_id: int, **values: object) -> Row:
    return {
        "_id": str(post_id), "post_id": str(post_id), "account_id": "a1", "user": LENA,
        "latest_post_id": "", "status": "pending", "found_by": "poll", **values,
    }  # fmt: skip


def reply(name: str, message_id: int, **values: object) -> Row:
    return {
        "_id": name, "idempotency_key": f"ana:{name}", "message_id": str(message_id),
        "account_id": "a1", "kind": "public", "text": "Thanks & bye", "state": "sent",
        "x_post_id": "", "reason": "", "reason_code": "", "due_at": at(-30), **values,
    }  # fmt: skip


@pytest.fixture
def facts() -> Facts:
    """All is well: 910 mentions came after the first poll; X showed 800 of them, the search all
    but ten quotes, which lie in a gap. Two were answered, one in public and one by message.
    """
    feed = [
        {
            "post_id": str(number),
            "kind": "quote" if FIRST + 5 <= number < FIRST + 15 else "direct",
            "indexed_at": at(-7200 if number == 100 else -60).isoformat(),
            "is_gone": False,
            "shown_at": None,
        }
        for number in (100, *range(FIRST, LAST + 1))
    ]
    quotes = {int(entry["post_id"]) for entry in feed if entry["kind"] == "quote"}
    posts = [
        post(entry["post_id"], LENA, "look" if entry["kind"] == "quote" else "hi @acme!")
        for entry in feed
    ]
    posts.append(post("2001", ACME, "@lena Thanks &amp; bye", in_reply_to=str(LAST), source="api"))
    stored = {
        str(number): message(number) for number in range(FIRST, LAST + 1) if number not in quotes
    }
    stored[str(LAST)]["status"] = stored[str(LAST - 1)]["status"] = "replied"
    found = sum(FIRST < int(key) < LAST - 799 for key in stored)
    gap = {
        "account_id": "a1", "from_post_id": str(FIRST), "to_post_id": str(LAST - 799),
        "state": "closed", "found": found, "created_at": at(0),
    }  # fmt: skip
    rows = [
        reply("r1", LAST, x_post_id="2001"),
        reply("r2", LAST - 1, kind="dm", x_post_id="3001"),
    ]
    names = ("message_id", "kind", "text")
    accepted = [{"key": row["_id"], **{name: row[name] for name in names}} for row in rows]
    dm = {"id": "3001", "sender_id": ACME, "recipient_id": LENA, "text": "Thanks &amp; bye"}
    return Facts(
        x=XState(
            users={LENA: {"id": LENA}, ACME: {"id": ACME}},
            posts={row["id"]: row for row in posts},
            dms=[dm],
            feeds={ACME: feed},
            calls=[],
        ),
        stored=Stored(
            accounts={"a1": {"twitter_id": ACME, "twitter_username": "acme", "status": "active"}},
            messages=stored,
            replies=rows,
            gaps=[gap],
            cursors={"a1": {"floor_post_id": "150", "baseline_at": at(-3600)}},
            audit=[],
            pauses=[],
        ),
        promised=Promised(accepted=accepted),
        read_at=at(10),
    )


def violations(facts: Facts) -> set[str]:
    return {line.partition(":")[0] for line in check(facts).list_violations()}


def test_all_holds_when_both_sides_agree(facts: Facts) -> None:
    report = check(facts)
    assert report.list_violations() == []
    figures = dict(report.figures)
    assert figures["on X: public replies"] == "1"
    assert figures["unreachable by any reading of X"] == "10"
    assert figures["reported lost: in a gap, not stored"] == "10"


# -- sends ------------------------------------------------------------------------------------


def test_a_duplicate_is_seen_when_a_reply_is_on_x_twice(facts: Facts) -> None:
    again = {**facts.x.posts["2001"], "id": "2002"}
    facts.x.posts["2002"] = again
    assert violations(facts) == {"duplicates on X"}


def test_a_duplicate_is_seen_when_a_message_was_sent_twice(facts: Facts) -> None:
    facts.x.dms.append({**facts.x.dms[0], "id": "3002"})
    assert violations(facts) == {"duplicates on X"}


def test_two_messages_are_none_too_many_when_two_rows_stand_for_them(facts: Facts) -> None:
    facts.x.dms.append({**facts.x.dms[0], "id": "3002"})
    facts.stored.messages[str(LAST - 2)]["status"] = "replied"
    facts.stored.replies.append(reply("r3", LAST - 2, kind="dm", x_post_id="3002"))
    assert violations(facts) == set()


@pytest.mark.parametrize("kind", ["public", "dm"])
def test_a_lost_reply_is_seen_when_a_sent_row_has_nothing_on_x(facts: Facts, kind: str) -> None:
    facts.x.posts.pop("2001") if kind == "public" else facts.x.dms.clear()
    assert violations(facts) == {"lost replies", "rows in a wrong state"}


def test_a_lost_reply_is_seen_when_the_api_accepted_it_and_no_row_is_there(facts: Facts) -> None:
    gone = facts.stored.replies.pop(1)
    facts.x.dms.clear()
    found = [line for line in check(facts).list_violations() if gone["_id"] in line]
    assert found == ["lost replies: accepted as r2, and there is no row of it"]


@pytest.mark.parametrize("state", ["failed", "unknown", "queued"])
def test_a_row_is_seen_when_x_has_what_it_says_was_not_sent(facts: Facts, state: str) -> None:
    facts.stored.replies[0].update(
        state=state, x_post_id="", reason="?", reason_code="cancelled", not_before=at(3600)
    )
    assert "on X, but no row says so" in violations(facts)


@pytest.mark.parametrize(
    ("code", "world"),
    [
        ("reply_target_gone", {"posts": {"is_deleted": True}}),
        ("blocked_by_author", {"users": {"blocks": [ACME]}}),
        ("cancelled", {}),
        ("server_error", None),
    ],
)
def test_a_failed_row_needs_x_to_confirm_its_reason(
    facts: Facts, code: str, world: dict[str, Row] | None
) -> None:
    row = reply("r3", LAST - 5, state="failed", reason="It did not work.", reason_code=code)
    row["sending_at"] = at(-20) if code == "cancelled" else None
    facts.stored.replies.append(row)
    assert violations(facts) == {"failed without X confirming the reason"}
    if world is None:
        return
    row["sending_at"] = None
    facts.x.posts[str(LAST - 5)].update(world.get("posts", {}))
    facts.x.feeds[ACME][-6]["is_gone"] = "posts" in world
    facts.x.users[LENA].update(world.get("users", {}))
    assert violations(facts) == set()


@pytest.mark.parametrize(
    "values",
    [
        {"state": "queued", "not_before": at(-1)},
        {"state": "sending", "lease_until": at(-1)},
        {"state": "failed", "reason_code": "cancelled"},
        {"state": "elsewhere"},
    ],
    ids=lambda values: values["state"],
)
def test_a_row_is_seen_when_it_is_left_in_a_wrong_state(facts: Facts, values: Row) -> None:
    facts.stored.replies.append(reply("r3", LAST - 5, **values))
    assert violations(facts) == {"rows in a wrong state"}


def test_a_row_is_seen_when_its_mention_is_not_marked_as_answered(facts: Facts) -> None:
    facts.stored.messages[str(LAST)]["status"] = "processing"
    assert violations(facts) == {"rows in a wrong state"}


def test_a_row_is_seen_when_its_post_says_something_else(facts: Facts) -> None:
    facts.stored.replies[0]["x_post_id"] = str(LAST)
    assert violations(facts) == {"rows in a wrong state"}


def test_one_in_a_hundred_unknown_rows_at_most_may_be_left_to_a_person(facts: Facts) -> None:
    names = [f"u{number}" for number in range(99)]
    facts.stored.audit.extend({"action": "reply.unknown.dm", "object_id": name} for name in names)
    left = reply("u99", LAST - 5, state="unknown", proof={"needs_person": True})
    facts.stored.replies.append(left)
    assert violations(facts) == set()
    facts.stored.audit.pop()
    assert violations(facts) == {"settled without a person"}


# -- mentions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [LAST, FIRST + 20], ids=["timeline", "search"])
def test_a_mention_is_missed_when_x_gives_it_and_it_is_not_stored(
    facts: Facts, number: int
) -> None:
    facts.stored.messages.pop(str(number))
    facts.stored.replies.clear()
    facts.promised.accepted.clear()
    facts.x.dms.clear()
    facts.x.posts.pop("2001")
    facts.stored.gaps[0]["found"] -= number == FIRST + 20
    assert violations(facts) == {"reachable, and not stored"}


def test_a_mention_is_seen_when_it_is_stored_twice(facts: Facts) -> None:
    facts.stored.messages["again"] = message(LAST - 9, _id="again")
    assert violations(facts) == {"stored twice"}


def test_a_mention_is_seen_when_x_never_had_it(facts: Facts) -> None:
    facts.stored.messages["5000"] = message(5000)
    assert violations(facts) == {"stored, and never on X"}


def test_a_loss_is_seen_when_no_gap_reports_all_of_it(facts: Facts) -> None:
    gap = facts.stored.gaps[0]
    inside = [FIRST + number for number in (1, 2, 3, 4)]
    gap["from_post_id"] = str(FIRST + 7)
    gap["found"] -= len(inside)
    assert violations(facts) == {"unreachable, and in no gap"}


def test_a_gap_is_seen_when_it_is_open_or_counts_wrongly(facts: Facts) -> None:
    for change in ({"state": "open"}, {"found": 1}):
        changed = deepcopy(facts)
        changed.stored.gaps[0].update(change)
        assert violations(changed) == {"gaps that are wrong"}


def test_a_gap_is_seen_when_x_had_shown_everything(facts: Facts) -> None:
    facts.stored.gaps[0]["from_post_id"] = str(FIRST + 200)
    assert "gaps that are wrong" in violations(facts)


# -- accounts ---------------------------------------------------------------------------------


def test_an_account_is_blocked_when_another_fails_and_nothing_of_it_leaves(facts: Facts) -> None:
    facts.promised.troubles.append(
        {"account_x_id": "901", "begun_at": at(-40), "ended_at": at(0), "what": "down"}
    )
    blocked = {"accounts blocked by another's failure"}
    assert violations(facts) == blocked
    call = {"at": at(-25).isoformat(), "account_id": ACME, "fault": None}
    facts.x.calls.append({**call, "route": "mentions"})
    assert violations(facts) == blocked, "read, and not sent for"
    facts.x.calls.append({**call, "route": "dm"})
    assert violations(facts) == set()


def test_an_account_is_seen_when_it_is_not_well_at_the_end(facts: Facts) -> None:
    facts.stored.accounts["a1"]["status"] = "token_expired"
    assert violations(facts) == {"accounts not well at the end"}


def test_a_process_is_seen_when_it_ended_by_itself(facts: Facts) -> None:
    facts.promised.ended.append("worker-1 ended with exit code 1")
    assert violations(facts) == {"processes that ended by themselves"}
