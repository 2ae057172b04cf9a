"""What is done with stored tokens without a call to X: reading them, and lifting their fence.

Apart from ``accounts.tokens``, so that the import does not load what calls X.
"""

from collections.abc import Collection

from django.conf import settings

from accounts.models import TwitterAccount
from autores.crypto import TokenCipher, cipher_for


def token_cipher() -> TokenCipher:
    """The cipher of TOKEN_ENCRYPTION_KEYS."""
    return cipher_for(tuple(settings.TOKEN_ENCRYPTION_KEYS))


def lift_fences(*, but: Collection[str] = ()) -> int:
    """The former poller is stopped: accounts taken over may be refreshed here; how many there are.

    ``but``: ids of accounts whose newest tokens may be elsewhere: a refresh would lose them. An
    access token that died meanwhile is found out, and refreshed, by the next call.
    """
    fenced = TwitterAccount.objects.filter(fenced_since__isnull=False).exclude(pk__in=list(but))
    return fenced.update(fenced_since=None)
