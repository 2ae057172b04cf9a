"""The admin's form to sign in (outside of ``accounts.admin``, which needs the site that has it)."""

from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from accounts.guessing import seconds_until_retry


class SignInForm(AuthenticationForm):
    """Tells who is locked out for a while that he is."""

    def get_invalid_login_error(self) -> ValidationError:
        wait = seconds_until_retry(self.request) if self.request is not None else 0
        if wait:
            return ValidationError(
                f"Too many failed attempts to sign in. Try again in {round(wait)} seconds.",
                code="too_many_attempts",
            )
        return super().get_invalid_login_error()
