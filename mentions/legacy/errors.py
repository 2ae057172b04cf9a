"""What every failure of the import is; loads no driver, as the workers ask for it too."""


class LegacyImportError(Exception):
    """The import cannot go on. The message is a sentence for the operator, without secrets."""

    retryable = False
    retry_after: float | None = None
