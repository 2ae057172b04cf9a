"""Why a reply was not taken into the outbox."""

from mentions.models import Reply


class OutboxRefusedError(Exception):
    """``existing`` is the row that stands in the way, when one does (a conflict, not bad input)."""

    def __init__(self, code: str, sentence: str, *, existing: Reply | None = None) -> None:
        self.code = code
        self.sentence = sentence
        self.existing = existing
        super().__init__(sentence)

    def __str__(self) -> str:
        return f"[{self.code}] {self.sentence}"
