"""How much is sent, arrives and breaks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """How much one run does.

    bursts        so many times ``burst`` of the mentions come at once
    rounds        how often each event happens
    spell         seconds, of which an event lasts one to four
    settle        seconds after which a run that does not settle is given up
    delays        seconds by which X shows mentions late
    search_hours  X_SEARCH_INTERVAL
    """

    accounts: int
    sends: int
    mentions: int
    bursts: int
    burst: int
    rounds: int
    spell: float
    settle: float
    delays: tuple[int, ...]
    search_hours: float


SIZES = {
    "small": Size(
        accounts=5,
        sends=80,
        mentions=2_400,
        bursts=1,
        burst=1_500,
        rounds=1,
        spell=4,
        settle=240,
        delays=(6, 25),
        search_hours=0.007,
    ),
    "medium": Size(
        accounts=10,
        sends=500,
        mentions=6_000,
        bursts=2,
        burst=1_500,
        rounds=1,
        spell=8,
        settle=420,
        delays=(6, 40),
        search_hours=0.02,
    ),
    "full": Size(
        accounts=20,
        sends=2_000,
        mentions=20_000,
        bursts=6,
        burst=1_500,
        rounds=2,
        spell=8,
        settle=600,
        delays=(6, 40, 140),
        search_hours=0.05,
    ),
}
