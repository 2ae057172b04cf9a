"""Django's TextChoices with types: Django ships none, and mypy would see tuples as members."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import enum

    class TextChoices(enum.StrEnum):
        """What django.db.models.TextChoices gives: ``value``, ``label``, and these lists."""

        label: str
        choices: list[tuple[str, str]]
        values: list[str]
        labels: list[str]

        # Members are text; these return what Django's do.
        def __str__(self) -> str: ...
else:
    from django.db.models import TextChoices

__all__ = ["TextChoices"]
