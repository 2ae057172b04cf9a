"""From a page of X to stored mentions."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from django.conf import settings

from accounts.models import TwitterAccount
from autores.x.types import PostPage
from mentions.ingest.classify import classify_post
from mentions.ingest.store import Finding, Item, Stored, store_items


def store_page(
    account: TwitterAccount,
    page: PostPage,
    *,
    finding: Finding,
    now: datetime,
    is_wanted: Callable[[int], bool] = lambda post_id: True,
) -> Stored:
    """Classify and store one page, less the posts whose id is not wanted."""
    items = [
        Item(
            post,
            classify_post(
                post,
                account_x_id=account.twitter_id,
                account_username=account.twitter_username,
                referenced=page.referenced,
            ),
        )
        for post in page.posts
    ]
    is_drafting = (
        finding.wants_drafts
        and account.drafts_automatically
        and settings.DRAFT_AUTOMATICALLY
        and bool(settings.OPENAI_API_KEY)
    )
    return store_items(
        account,
        [item for item in items if is_wanted(int(item.post_id))],
        finding=replace(finding, wants_drafts=is_drafting),
        now=now,
    )
