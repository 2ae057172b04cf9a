"""From a page of X to stored mentions."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from django.conf import settings

from accounts.models import TwitterAccount
from autores.x.posts import PostPage
from mentions.ingest.classify import classify_post
from mentions.ingest.finding import Finding
from mentions.ingest.store import Stored, store_posts, work_id_of
from mentions.models import FoundBy


def store_page(
    account: TwitterAccount,
    page: PostPage,
    *,
    finding: Finding,
    now: datetime,
    is_wanted: Callable[[int], bool] | None = None,
) -> Stored:
    """Classify and store one page, less the posts whose id is not wanted."""

    classify = partial(
        classify_post,
        account_x_id=account.twitter_id,
        account_username=account.twitter_username,
        referenced=page.referenced,
        former_username=account.former_username or "",
        is_found_by_words=finding.found_by is FoundBy.SEARCH,
    )
    is_drafting = (
        finding.wants_drafts
        and account.drafts_automatically
        and settings.DRAFT_AUTOMATICALLY
        and bool(settings.OPENAI_API_KEY)
    )
    return store_posts(
        account,
        page.posts
        if is_wanted is None
        else [post for post in page.posts if is_wanted(int(work_id_of(post)))],
        classify=classify,
        finding=replace(finding, wants_drafts=is_drafting),
        now=now,
    )
