"""Pages of mentions from X, guarded against endless paging and an overspent budget."""

import time
from collections.abc import Iterator

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from accounts.clients import XClient, call_x
from accounts.models import TwitterAccount
from autores.x.errors import RateLimitedError
from autores.x.types import PostPage

# X shows the 800 latest mentions: eight full pages, and room for short ones.
REACHABLE_MENTIONS = 800
MAX_PAGES = 40


class LocalBudgetError(RateLimitedError):
    """Our own limit on mention requests (TWITTER_MENTIONS_RATE_LIMIT) is reached."""

    default_code = "local_budget"
    default_sentence = (
        "This account has used its own budget of mention requests "
        "(TWITTER_MENTIONS_RATE_LIMIT); the poll goes on when the window is over."
    )


def _spend_request(account: TwitterAccount) -> None:
    window = settings.TWITTER_MENTIONS_WINDOW * 60
    number, passed = divmod(time.time(), window)
    key = f"mentions-budget:{account.pk}:{int(number)}"
    cache.add(key, 0, timeout=window)
    try:
        spent = cache.incr(key)
    except ValueError:
        # Redis lost its data between the two commands.
        cache.set(key, 1, timeout=window)
        spent = 1
    if spent > settings.TWITTER_MENTIONS_RATE_LIMIT:
        error = LocalBudgetError(retry_after=window - passed)
        TwitterAccount.objects.filter(pk=account.pk).update(
            last_error_code=error.code, last_error_at=timezone.now()
        )
        raise error


def fetch_pages(
    account: TwitterAccount,
    *,
    since_id: str | None = None,
    max_results: int = 100,
    max_pages: int = MAX_PAGES,
) -> Iterator[PostPage]:
    """Yield pages of the account's mentions, newest first, down to ``since_id`` (exclusive).

    Stops when X gives no further token, when a page brings nothing new (tokens that never end
    have been seen), or after ``max_pages``. Raises XError and what ``call_x`` raises.
    """
    token: str | None = None
    seen: set[str] = set()
    for _ in range(max_pages):
        _spend_request(account)

        def read(client: XClient, token: str | None = token) -> PostPage:
            return client.get_mentions(
                account.twitter_id,
                since_id=since_id,
                max_results=max_results,
                pagination_token=token,
            )

        page = call_x(account, read)
        yield page
        fresh = {post.id for post in page.posts} - seen
        if page.next_token is None or (page.posts and not fresh):
            return
        seen |= fresh
        token = page.next_token
