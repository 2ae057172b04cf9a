import base64

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from autores.crypto import CipherError, TokenCipher, cipher_for, key_from_passphrase

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))
encodable = st.text(st.characters(codec="utf-8"), min_size=1)


@given(secret=encodable)
def test_secret_comes_back_when_decrypted(secret: str) -> None:
    cipher = TokenCipher([NEW])

    ciphertext = cipher.encrypt(secret)

    assert cipher.decrypt(ciphertext) == secret
    assert ciphertext.isascii()
    # The plain text or its base64 is nowhere in it.
    assert len(secret) < 4 or secret not in ciphertext
    assert base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=") not in ciphertext or (
        len(secret) < 4
    )


def test_ciphertexts_differ_when_the_secret_is_the_same() -> None:
    cipher = TokenCipher([NEW])

    assert cipher.encrypt("same") != cipher.encrypt("same")


def test_empty_text_stays_empty() -> None:
    cipher = TokenCipher([NEW])

    assert cipher.encrypt("") == cipher.decrypt("") == cipher.rotate("") == ""
    assert cipher.is_current("")
    assert cipher.is_readable("")


def test_old_ciphertext_is_readable_when_a_new_key_is_put_first() -> None:
    before = TokenCipher([OLD]).encrypt("token")
    both = TokenCipher([NEW, OLD])

    assert both.decrypt(before) == "token"
    assert both.is_readable(before)
    assert not both.is_current(before)
    rotated = both.rotate(before)
    assert both.is_current(rotated)
    assert TokenCipher([NEW]).decrypt(rotated) == "token"


def test_new_ciphertext_needs_the_first_key_when_there_are_two() -> None:
    ciphertext = TokenCipher([NEW, OLD]).encrypt("token")

    assert TokenCipher([NEW]).decrypt(ciphertext) == "token"
    with pytest.raises(CipherError):
        TokenCipher([OLD]).decrypt(ciphertext)
    assert not TokenCipher([OLD]).is_readable(ciphertext)


@pytest.mark.parametrize("ciphertext", ["plain-token", "gAAAAAB", "né", "gAAAAA" + "A" * 100])
def test_error_says_what_to_do_when_no_key_fits(ciphertext: str) -> None:
    cipher = TokenCipher([NEW])

    for use in (cipher.decrypt, cipher.rotate):
        with pytest.raises(CipherError, match="Put the key it was encrypted with back") as caught:
            use(ciphertext)
        assert ciphertext not in str(caught.value)
        assert caught.value.__cause__ is None
    assert not cipher.is_current(ciphertext)
    assert not cipher.is_readable(ciphertext)


@given(place=st.integers(0, 119), other=st.integers(1, 63))
def test_altered_ciphertext_is_refused(place: int, other: int) -> None:
    cipher = TokenCipher([NEW])
    raw = bytearray(base64.urlsafe_b64decode(cipher.encrypt("a token of forty characters, about.")))
    raw[place % len(raw)] ^= other

    altered = base64.urlsafe_b64encode(bytes(raw)).decode()

    with pytest.raises(CipherError):
        cipher.decrypt(altered)
    assert not cipher.is_readable(altered)


@pytest.mark.parametrize(
    "key",
    ["short", "é" * 32, OLD[:-2], "A" * 43, ""],
    ids=["short", "not_ascii", "cut", "unpadded", "empty"],
)
def test_error_shows_no_key_when_one_is_malformed(key: str) -> None:
    with pytest.raises(CipherError, match="TOKEN_ENCRYPTION_KEYS holds a key") as caught:
        TokenCipher([NEW, key])

    assert NEW not in str(caught.value)
    assert not key or key not in str(caught.value)


def test_error_names_the_variable_when_there_is_no_key() -> None:
    with pytest.raises(CipherError, match="TOKEN_ENCRYPTION_KEYS is empty"):
        TokenCipher([])


def test_no_key_is_shown_when_a_cipher_is_printed() -> None:
    shown = repr(TokenCipher([NEW, OLD])) + str(TokenCipher([OTHER]))

    assert not any(key in shown for key in (OLD, NEW, OTHER))


def test_passphrases_give_usable_and_different_keys() -> None:
    one, other = key_from_passphrase("one"), key_from_passphrase("other")

    assert one == key_from_passphrase("one") != other
    assert TokenCipher([one]).decrypt(TokenCipher([one]).encrypt("x")) == "x"


def test_cipher_is_made_once_when_the_keys_are_the_same() -> None:
    assert cipher_for((OLD, NEW)) is cipher_for((OLD, NEW))
    assert cipher_for((NEW, OLD)) is not cipher_for((OLD, NEW))
