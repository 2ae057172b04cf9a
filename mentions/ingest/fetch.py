"""Pages of mentions from X, guarded against endless paging and an overspent budget."""

import time
from collections.abc import Callable, Iterator
from typing import Literal

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from accounts.clients import call_x
from accounts.models import TwitterAccount
from accounts.names import list_names
from autores.x.errors import EndlessPagesError, RateLimitedError, XError
from autores.x.ids import created_at_of
from autores.x.posts import PostPage

# X shows the 800 latest mentions: eight full pages, and room for short ones.
REACHABLE_MENTIONS = 800
# What X withholds of a page counts, too.
REACHABLE_PAGES = 8
MAX_PAGES = 40
# X leaves pages empty whose posts it withholds; so many in a row are no answer.
_MOST_EMPTY_PAGES = 10
# 30,000 posts in one run; a search that is not done by then goes on in the next one.
MAX_SEARCH_PAGES = 300


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
        _keep_on_account(account, error)
        raise error


def _keep_on_account(account: TwitterAccount, error: XError) -> None:
    """What X did is kept by ``call_x``; this is what we make of it."""
    TwitterAccount.objects.filter(pk=account.pk).update(
        last_error_code=error.code, last_error=error.sentence, last_error_at=timezone.now()
    )


class Pages:
    """Pages of posts, newest first, to be iterated once; afterwards ``ending`` says why it ended,
    and ``count`` how many there were.

    end     X gave no further token: everything down to the bound was shown
    reach   a token led to an empty page: X shows nothing older, though there may be something
    guard   ``max_pages``, a page that brought nothing new, or many empty ones (tokens that never
            end have been seen)

    Nothing but empty pages raises EndlessPagesError, which is kept on the account.
    """

    def __init__(
        self,
        account: TwitterAccount,
        read: Callable[[str | None], PostPage],
        *,
        max_pages: int,
    ) -> None:
        self._account = account
        self._read = read
        self._max_pages = max_pages
        self.ending: Literal["end", "reach", "guard"] = "guard"
        self.count = 0

    def __iter__(self) -> Iterator[PostPage]:
        token: str | None = None
        seen: set[str] = set()
        empty = 0
        for _ in range(self._max_pages):
            page = self._read(token)
            self.count += 1
            yield page
            empty = 0 if page.posts or page.unreadable_ids else empty + 1
            if empty > _MOST_EMPTY_PAGES and page.next_token is not None:
                if seen:
                    return
                raise self._refuse_endless()
            fresh = {post.id for post in page.posts} - seen
            if page.next_token is None:
                self.ending = "reach" if token is not None and not page.posts else "end"
                return
            if page.posts and not fresh:
                return
            seen |= fresh
            token = page.next_token

    @property
    def is_whole(self) -> bool:
        """Whether X gave all that it has: of the timeline, "reach" may lie above the bound."""
        return self.ending in ("end", "reach")

    def _refuse_endless(self) -> EndlessPagesError:
        error = EndlessPagesError()
        _keep_on_account(self._account, error)
        return error


def fetch_mentions(
    account: TwitterAccount,
    *,
    since_id: str | None = None,
    until_id: str | None = None,
    max_results: int = 100,
    max_pages: int = MAX_PAGES,
) -> Pages:
    """The account's mentions timeline between the two ids (exclusive).

    Iterating raises XError and what ``call_x`` raises; LocalBudgetError is an XError.
    """

    def read(token: str | None) -> PostPage:
        _spend_request(account)
        return call_x(
            account,
            lambda client: client.get_mentions(
                account.twitter_id,
                since_id=since_id,
                until_id=until_id,
                max_results=max_results,
                pagination_token=token,
            ),
        )

    return Pages(account, read, max_pages=max_pages)


def search_mentions(
    account: TwitterAccount,
    *,
    since_id: str,
    until_id: str | None = None,
    max_pages: int = MAX_SEARCH_PAGES,
) -> Pages:
    """Posts of the last seven days that name the account, by X's search index; no reposts.

    Quotes without the handle are not in it. Of a name that the account had lately, it may be others
    that are meant. Iterating raises what ``fetch_mentions`` does.
    """
    names = " OR ".join(f"@{name}" for name in list_names(account, since=created_at_of(since_id)))

    def read(token: str | None) -> PostPage:
        return call_x(
            account,
            lambda client: client.search_recent(
                f"({names}) -is:retweet" if " " in names else f"{names} -is:retweet",
                since_id=since_id,
                until_id=until_id,
                pagination_token=token,
                expand_authors=True,
                expand_references=True,
            ),
        )

    return Pages(account, read, max_pages=max_pages)
