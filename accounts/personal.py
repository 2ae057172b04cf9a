"""Tokens for scripts: made, hashed, and shown once."""

import hashlib
import secrets
from datetime import datetime

from accounts.models import PersonalToken, User

PERSONAL_PREFIX = "atr_"
_SHOWN_LENGTH = len(PERSONAL_PREFIX) + 4


def create_personal_token(
    user: User, *, name: str, expires_at: datetime | None = None
) -> tuple[PersonalToken, str]:
    """The stored token and its value, which exists nowhere else and cannot be shown again."""
    token = PersonalToken(user=user, name=name, expires_at=expires_at)
    value = fill_personal_token(token)
    token.save(force_insert=True)
    return token, value


def fill_personal_token(token: PersonalToken) -> str:
    """Give an unsaved token its key and prefix; returns its value, which nothing else keeps."""
    value = PERSONAL_PREFIX + secrets.token_urlsafe(32)
    token.digest = digest_personal_token(value)
    token.prefix = value[:_SHOWN_LENGTH]
    return value


def digest_personal_token(value: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(value.encode()).hexdigest()
