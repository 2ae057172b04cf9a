"""What is timed: each endpoint of the contract, with its target."""

import json
import random
from dataclasses import dataclass
from datetime import datetime

from bench.seed import Seeded

STATUSES = ("pending", "processing", "replied", "ignored", "error")


@dataclass(frozen=True)
class Case:
    """One kind of request. A side gets its ``paths`` (and ``bodies``) in random order.

    ``peer_paths`` are the peer's own, if they differ. ``adopted_paths``: the same answer by the
    design that makes ours fast, on the peer; what then stays of the gain is the code's.
    ``target`` is the least ratio to the peer. ``etag_path``: send If-None-Match with the ETag that
    this path answers with.
    """

    name: str
    paths: tuple[str, ...]
    target: float | None
    gain: str
    method: str = "GET"
    bodies: tuple[str, ...] = ()
    peer_paths: tuple[str, ...] = ()
    adopted_paths: tuple[str, ...] = ()
    is_conditional: bool = False
    # A multiple of the seconds of the others: the peer needs seconds for one answer.
    patience: float = 1


_MESSAGES = "/api/v1/messages/"
_CODE, _DESIGN, _UNCHANGED = "code", "design", "not sent again"


def list_cases(seeded: Seeded, *, deep_page_follows: datetime) -> list[Case]:
    """``deep_page_follows``: time of the message after which the deep page begins."""
    skip = min(50_000, seeded.messages // 2)
    after = deep_page_follows.strftime("%Y-%m-%dT%H:%M:%S.%f")
    one = tuple(f"/api/v1/messages/{id_}" for id_ in seeded.read_ids)
    return [
        Case("list 100 newest", (f"{_MESSAGES}?limit=100",), 4, _CODE),
        Case("list 20 newest", (f"{_MESSAGES}?limit=20",), 2.5, _CODE),
        # What nobody else asks for at the same time is not read for two.
        Case(
            "list 20, thirty pages",
            tuple(f"{_MESSAGES}?limit=20&skip={skip}" for skip in range(30)),
            None,
            _CODE,
        ),
        Case("get one", one, 1.5, _CODE),
        Case(
            "status filter, newest 50",
            tuple(f"{_MESSAGES}?status={status}&limit=50" for status in STATUSES),
            3,
            _CODE,
        ),
        Case(
            f"skip {skip:,}, take 100",
            (f"{_MESSAGES}?skip={skip}&limit=100",),
            5,
            _DESIGN,
            adopted_paths=(f"/adopted/messages/?after={after}&limit=100",),
        ),
        Case(
            "count by status",
            ("/api/v1/messages/stats",),
            10,
            _DESIGN,
            adopted_paths=("/adopted/messages/stats",),
            patience=3,
        ),
        Case(
            "list 100, If-None-Match",
            (f"{_MESSAGES}?limit=100",),
            None,
            _UNCHANGED,
            is_conditional=True,
        ),
        Case("get one, If-None-Match", one[:1], None, _UNCHANGED, is_conditional=True),
        Case(
            "PATCH",
            tuple(f"/api/v1/messages/{id_}" for id_ in seeded.patch_ids),
            1.5,
            _CODE,
            method="PATCH",
            bodies=_make_bodies(),
        ),
    ]


def _make_bodies() -> tuple[str, ...]:
    chance = random.Random(5)
    return tuple(
        json.dumps(
            {
                "status": chance.choice(STATUSES),
                "public_response": f"We are looking into it 🙏 ({number})",
                "credits_used": chance.randrange(100),
            },
            ensure_ascii=False,
        )
        for number in range(200)
    )
