"""Re-encryption of every stored secret under the first of TOKEN_ENCRYPTION_KEYS.

Each write compares the ciphertext it replaces. So a refresh or a reconnection that comes in
between is never overwritten: its pair is under the first key anyway.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import models

from accounts.models import OAuthState, TwitterAccount
from accounts.stored_tokens import token_cipher
from autores.crypto import CipherError

BATCH_SIZE = 500
_FIELDS: tuple[tuple[type[models.Model], tuple[str, ...]], ...] = (
    (TwitterAccount, ("access_token", "refresh_token")),
    (OAuthState, ("code_verifier",)),
)


@dataclass
class RotationReport:
    """Counts of secrets. ``unreadable`` names records, never what is in them."""

    rotated: int = 0
    current: int = 0
    changed_meanwhile: int = 0
    unreadable: list[str] = field(default_factory=list)


def rotate_secrets(*, dry_run: bool = False) -> RotationReport:
    """Put every secret under the first key; with ``dry_run`` only count. May be run again."""
    report = RotationReport()
    for model, names in _FIELDS:
        for row in _read_in_batches(model, names):
            for name in names:
                _rotate(model, row["pk"], name, row[name], report=report, dry_run=dry_run)
    return report


def _read_in_batches(model: type[models.Model], names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    last = ""
    while True:
        rows = model._default_manager.filter(pk__gt=last).order_by("pk")
        batch = list(rows.values("pk", *names)[:BATCH_SIZE])
        yield from batch
        if len(batch) < BATCH_SIZE:
            return
        last = batch[-1]["pk"]


def _rotate(
    model: type[models.Model],
    pk: str,
    name: str,
    ciphertext: str,
    *,
    report: RotationReport,
    dry_run: bool,
) -> None:
    if not ciphertext:
        return
    cipher = token_cipher()
    if cipher.is_current(ciphertext):
        report.current += 1
        return
    try:
        again = cipher.rotate(ciphertext)
    except CipherError:
        report.unreadable.append(f"{model._meta.verbose_name} {pk}: {name}")
        return
    if dry_run or model._default_manager.filter(pk=pk, **{name: ciphertext}).update(
        **{name: again}
    ):
        report.rotated += 1
    else:
        report.changed_meanwhile += 1
