"""Encryption of X's tokens at rest, with key rotation (Fernet: AES-128-CBC and HMAC-SHA256).

The models hold ciphertext only; whoever needs a token asks for it by name, so a secret cannot
slip out through a serializer, an admin page or a ``repr``.
"""

import base64
import contextlib
import functools
import hashlib
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class CipherError(Exception):
    """A key is malformed, or a ciphertext fits none of the keys. Never carries a secret."""


def key_from_passphrase(passphrase: str) -> str:
    """A Fernet key derived from a text: for development only, where no key was given."""
    digest = hashlib.sha256(b"autores token encryption\x00" + passphrase.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()


class TokenCipher:
    """Encrypts with the first key, decrypts with any. Texts in, ASCII texts out."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise CipherError("TOKEN_ENCRYPTION_KEYS is empty: give at least one Fernet key.")
        try:
            self._fernets = [Fernet(key) for key in keys]
        except ValueError:
            raise CipherError(
                "TOKEN_ENCRYPTION_KEYS holds a key that is not 32 bytes in URL-safe base64. "
                "Make one with: python -c 'from cryptography.fernet import Fernet; "
                "print(Fernet.generate_key().decode())'"
            ) from None
        self._multi = MultiFernet(self._fernets)

    def __repr__(self) -> str:
        return f"TokenCipher({len(self._fernets)} keys)"

    def encrypt(self, secret: str) -> str:
        """Ciphertext of ``secret``; the empty text stays empty, meaning "no secret"."""
        return self._fernets[0].encrypt(secret.encode()).decode() if secret else ""

    def decrypt(self, ciphertext: str) -> str:
        """The secret again. Raises CipherError if no key fits or the text was altered."""
        if not ciphertext:
            return ""
        try:
            return self._multi.decrypt(ciphertext.encode()).decode()
        except (InvalidToken, UnicodeDecodeError):
            raise CipherError(
                "A stored token cannot be decrypted with any of TOKEN_ENCRYPTION_KEYS. "
                "Put the key it was encrypted with back into the list."
            ) from None

    def is_readable(self, ciphertext: str) -> bool:
        """Whether one of the keys made this ciphertext (or there is no secret in it). Its signature
        tells, without the secret being read: ``decrypt`` gives one of whatever ``encrypt`` made.
        """
        if not ciphertext:
            return True
        for fernet in self._fernets:
            with contextlib.suppress(InvalidToken):
                fernet.extract_timestamp(ciphertext.encode())
                return True
        return False

    def rotate(self, ciphertext: str) -> str:
        """The same secret under the first key. Raises CipherError as ``decrypt`` does."""
        return self.encrypt(self.decrypt(ciphertext))

    def is_current(self, ciphertext: str) -> bool:
        """True when the first key made this ciphertext (or there is no secret in it)."""
        if not ciphertext:
            return True
        try:
            self._fernets[0].decrypt(ciphertext.encode())
        except InvalidToken:
            return False
        return True


@functools.lru_cache(maxsize=4)
def cipher_for(keys: tuple[str, ...]) -> TokenCipher:
    """One cipher per set of keys: building Fernet objects costs more than using them."""
    return TokenCipher(keys)
