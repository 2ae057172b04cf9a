"""Why a call to X was not made, or a consent flow was refused: reasons of ours, not of X.

Each carries ``code`` (stable, for programs), ``sentence`` (for a person), ``retryable`` and
``retry_after`` (seconds, None without a hint), as ``autores.x.errors.XError`` does.
"""


class AccountError(Exception):
    """Base of all errors of this package."""

    default_code = "account_error"
    default_sentence = "The account cannot be used."
    default_retryable = False

    def __init__(
        self,
        sentence: str = "",
        *,
        code: str = "",
        retryable: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.sentence = sentence or self.default_sentence
        self.code = code or self.default_code
        self.retryable = self.default_retryable if retryable is None else retryable
        self.retry_after = retry_after
        super().__init__(self.sentence)


class CallRefusedError(AccountError):
    """A call to X was not made. Nothing left this machine."""


class AppPausedError(CallRefusedError):
    """All calls to X are stopped, for every account, until somebody resumes them."""

    default_code = "app_paused"
    default_sentence = "All calls to X are paused."


class AccountBlockedError(CallRefusedError):
    """This account is paused by a person, or X's limit for it is spent until ``retry_after``."""

    default_code = "account_paused"
    default_sentence = "The account is paused. Resume it to go on."


class BudgetSpentError(CallRefusedError):
    """A budget of writes is spent until ``retry_after``; the code names it: budget_app_day,
    budget_user_day, budget_window.
    """

    default_code = "budget_app_day"
    default_sentence = "The app's writes for 24 hours are spent, for all accounts."
    default_retryable = True


class BudgetUnavailableError(CallRefusedError):
    """Redis does not answer, so nobody knows what is left of the budgets."""

    default_code = "budget_unavailable"
    default_sentence = "The budgets cannot be read now (Redis does not answer). Nothing was sent."
    default_retryable = True


class TokenUnavailableError(CallRefusedError):
    """There is no access token to call X with."""

    default_code = "token_unavailable"
    default_sentence = "There is no access token for this account."


class ReconnectNeededError(TokenUnavailableError):
    """Only the account's owner can help, by giving consent on X again."""

    default_code = "reconnect_needed"
    default_sentence = "X no longer accepts this account's sign-in. Connect the account again."


class RefreshBusyError(TokenUnavailableError):
    """Another process has been refreshing this account's token for longer than we wait."""

    default_code = "refresh_busy"
    default_sentence = "The account's token is being refreshed. Try again in a few seconds."
    default_retryable = True


class RefreshFencedError(TokenUnavailableError):
    """The former system may still refresh this account's token; only one of the two may."""

    default_code = "refresh_fenced"
    default_sentence = (
        "The former system may still be using this account: a refresh here would end its sign-in, "
        "or ours. Stop its poller, run the import once more, then declare it stopped with "
        "`manage.py migrate_from_mysql --declare-old-poller-stopped`."
    )
    default_retryable = True


class TokenUnreadableError(TokenUnavailableError):
    """A stored token fits none of TOKEN_ENCRYPTION_KEYS."""

    default_code = "token_unreadable"
    default_sentence = (
        "The account's stored tokens cannot be decrypted. Put the key they were encrypted with "
        "back into TOKEN_ENCRYPTION_KEYS, or connect the account again."
    )


class LinkRefusedError(AccountError):
    """A consent flow ended without an account. ``status_code`` is the HTTP status that fits."""

    default_code = "link_refused"
    default_sentence = "The account was not connected."

    def __init__(self, sentence: str = "", *, code: str = "", status_code: int = 400) -> None:
        self.status_code = status_code
        super().__init__(sentence, code=code)
