"""The results as a table and as JSON."""

import platform
import statistics
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import psutil

from bench.cases import Case
from bench.load import Measured


@dataclass
class Outcome:
    """The rounds of one case. ``skipped`` says why it was not timed."""

    case: Case
    peer: list[Measured] = field(default_factory=list)
    ours: list[Measured] = field(default_factory=list)
    adopted: list[Measured] = field(default_factory=list)
    equal_rows: int = 0
    skipped: str = ""

    @property
    def ratio(self) -> float:
        return _median_ratio(self.ours, self.peer)

    @property
    def adopted_ratio(self) -> float | None:
        return _median_ratio(self.ours, self.adopted) if self.adopted else None

    @property
    def is_met(self) -> bool:
        """The target of the ratio, a p99 no worse than the peer's, and no error."""
        is_fast = self.case.target is None or self.ratio >= self.case.target
        return is_fast and self.is_p99_met and not self.errors

    @property
    def is_p99_met(self) -> bool:
        peer = _median(self.peer, "p99")
        # 0: the peer gave no answer at all.
        return not peer or _median(self.ours, "p99") <= peer

    @property
    def errors(self) -> int:
        return sum(one.errors for one in [*self.peer, *self.ours, *self.adopted])

    def to_json(self) -> dict[str, Any]:
        if self.skipped:
            return {"case": self.case.name, "skipped": self.skipped}
        return {
            "case": self.case.name,
            "gain": self.case.gain,
            "target": self.case.target,
            "ratio": round(self.ratio, 2),
            "ratio_each_round": [
                round(ours.rate / peer.rate, 2)
                for ours, peer in zip(self.ours, self.peer, strict=True)
            ],
            "ratio_to_peer_with_our_design": self.adopted_ratio and round(self.adopted_ratio, 2),
            "is_met": self.is_met,
            "equal_rows": self.equal_rows,
            "peer": _summarize(self.peer),
            "ours": _summarize(self.ours),
            "peer_with_our_design": _summarize(self.adopted) if self.adopted else None,
            "rounds": {
                "peer": [asdict(one) for one in self.peer],
                "ours": [asdict(one) for one in self.ours],
                "peer_with_our_design": [asdict(one) for one in self.adopted],
            },
        }


def format_table(outcomes: list[Outcome]) -> str:
    head = (
        f"{'':26} {'ratio':>6} {'target':>6} {'met':>4}   "
        f"{'peer req/s':>10} {'p50':>6} {'p99':>6} {'err':>4} {'bytes':>7} {'cpu':>6}   "
        f"{'ours req/s':>10} {'p50':>6} {'p99':>6} {'err':>4} {'bytes':>7} {'cpu':>6}   "
        f"{'same design':>11}"
    )
    lines = [head, "-" * len(head)]
    for one in outcomes:
        if one.skipped:
            lines.append(f"{one.case.name:26} {one.skipped}")
            continue
        target = f"{one.case.target:g}" if one.case.target else ""
        met = "yes" if one.is_met else "p99" if one.ratio >= (one.case.target or 0) else "no"
        adopted = f"{one.adopted_ratio:.2f}" if one.adopted_ratio else ""
        lines.append(
            f"{one.case.name:26} {one.ratio:6.2f} {target:>6} {met:>4}   "
            f"{_format_side(one.peer)}   {_format_side(one.ours)}   {adopted:>11}"
        )
    lines += [
        "ratio: median of the rounds' ours / peer; p50 and p99 in ms; cpu: the server's, in ms for",
        "each answer. same design: ratio to the peer when it answers by our data design (keyset,",
        "counters): what the code alone gains.",
    ]
    return "\n".join(lines)


def describe_machine() -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": psutil.cpu_count(),
        "cpu": _read_cpu(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _read_cpu() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


def _format_side(rounds: list[Measured]) -> str:
    return (
        f"{_median(rounds, 'rate'):>10,.0f} {_median(rounds, 'p50'):>6.1f} "
        f"{_median(rounds, 'p99'):>6.1f} {sum(one.errors for one in rounds):>4} "
        f"{_median(rounds, 'bytes_each'):>7,.0f} {_median(rounds, 'cpu_each'):>6.2f}"
    )


def _summarize(rounds: list[Measured]) -> dict[str, float]:
    names = ("rate", "p50", "p99", "bytes_each", "cpu_each")
    summary = {name: round(_median(rounds, name), 2) for name in names}
    return {**summary, "errors": sum(one.errors for one in rounds)}


def _median(rounds: list[Measured], name: str) -> float:
    return statistics.median(getattr(one, name) for one in rounds)


def _median_ratio(ours: list[Measured], peer: list[Measured]) -> float:
    return statistics.median(
        mine.rate / theirs.rate for mine, theirs in zip(ours, peer, strict=True)
    )
