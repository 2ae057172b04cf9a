"""What can go wrong with an embedded service, each in a sentence that says what to do."""


class EmbeddedError(Exception):
    """Base of all failures here; ``str()`` is fit to print without a traceback."""


class MissingServerError(EmbeddedError):
    """No binary of a server was found on this machine."""


class ServerStartError(EmbeddedError):
    """A server was started and ended, or did not answer in time; carries the tail of its log."""
