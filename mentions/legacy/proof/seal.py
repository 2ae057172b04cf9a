"""The seal of a report: a hash of everything it says, and of the report before it. Pure.

It shows that a report was altered after it was written, by a slip or in a hurry. It is no
signature: whoever can write the database can write a new seal, but not one that the next
report's ``previous`` agrees with.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

SEAL = "seal"
_ALGORITHM = "sha256"
_EMBEDDED = re.compile(r'<script type="application/json" id="report">(.*?)</script>', re.DOTALL)


class SealError(Exception):
    """A text holds no sealed report. The message says what was found instead."""

    retryable = False
    retry_after: float | None = None


def digest_report(report: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over the report as canonical JSON, its seal's own digest left out."""
    seal = {name: value for name, value in (report.get(SEAL) or {}).items() if name != "digest"}
    body = {**report, SEAL: seal}
    text = json.dumps(
        body, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


def seal_report(
    report: Mapping[str, Any],
    *,
    previous: str = "",
    earlier: Sequence[str] = (),
    now: datetime | None = None,
) -> dict[str, Any]:
    """The report with its seal. ``previous`` is the digest of the report before it.

    ``earlier`` are the digests this report had before it was gone on with.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
    # What JSON cannot tell apart must not make two digests of one report.
    plain = json.loads(json.dumps(dict(report), ensure_ascii=False, allow_nan=False))
    plain[SEAL] = {"algorithm": _ALGORITHM, "sealed_at": moment, "previous": previous}
    if earlier:
        plain[SEAL]["earlier"] = list(earlier)
    plain[SEAL]["digest"] = digest_report(plain)
    return plain


def is_sealed(report: Mapping[str, Any]) -> bool:
    """Whether the report carries a seal at all."""
    seal = report.get(SEAL)
    return isinstance(seal, Mapping) and bool(seal.get("digest"))


def is_intact(report: Mapping[str, Any]) -> bool:
    """Whether the seal is there and fits."""
    return is_sealed(report) and report[SEAL]["digest"] == digest_report(report)


def read_report(text: str) -> dict[str, Any]:
    """The report in a JSON file, or inside a report page. Raises SealError."""
    embedded = _EMBEDDED.search(text)
    source = embedded[1] if embedded else text
    try:
        report = json.loads(source)
    except ValueError:
        raise SealError(
            "This is neither a report in JSON nor a report page that carries one."
        ) from None
    if not isinstance(report, dict):
        raise SealError("This JSON is not a report.")
    return report
