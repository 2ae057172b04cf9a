"""The OAuth side of X, built from the settings."""

from django.conf import settings

from autores.x.errors import InvalidClientError
from autores.x.oauth import OAuthClient


def oauth_client(*, redirect_uri: str = "") -> OAuthClient:
    """The app's OAuth client; ``redirect_uri`` if a flow began with another than today's.

    Raises InvalidClientError when the app's id or secret is not configured.
    """
    if not settings.TWITTER_CLIENT_ID or not settings.TWITTER_CLIENT_SECRET:
        raise InvalidClientError(
            "TWITTER_CLIENT_ID and TWITTER_CLIENT_SECRET are not set, so no account can be "
            "connected. They are on X's developer portal, under the app's keys."
        )
    return OAuthClient(
        base_url=settings.X_API_BASE_URL,
        authorize_url=settings.X_AUTHORIZE_URL,
        client_id=settings.TWITTER_CLIENT_ID,
        client_secret=settings.TWITTER_CLIENT_SECRET,
        redirect_uri=redirect_uri or settings.TWITTER_CALLBACK_URL,
        scopes=settings.TWITTER_SCOPE.split(),
        connect_timeout=settings.X_CONNECT_TIMEOUT_SECONDS,
        read_timeout=settings.X_READ_TIMEOUT_SECONDS,
        allow_insecure_loopback=not settings.IS_PRODUCTION,
    )
