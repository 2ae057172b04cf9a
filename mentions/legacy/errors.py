"""What every failure of the import is; loads no driver, as the workers ask for it too."""


class LegacyImportError(Exception):
    """The import cannot go on. The message is a sentence for the operator, without secrets."""

    retryable = False
    retry_after: float | None = None


class SourceError(LegacyImportError):
    """The legacy database cannot be read."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class SchemaError(SourceError):
    """The legacy tables lack what the import needs."""
