"""What each kind of read asks X for, in either field vocabulary.

X drops a field name of the other vocabulary in silence, so every request speaks exactly one.
Costs: each distinct object in an answer is billed. In the "tweet" vocabulary author ids and
references are plain fields; in the "post" vocabulary they exist as expansions only, which bills
the author (a user read) and the referenced post along with each post.
"""

from typing import get_args

from autores.x.types import Vocabulary

_SHARED_POST_FIELDS = (
    "id", "text", "created_at", "conversation_id", "display_text_range", "entities", "lang",
    "reply_settings",
)  # fmt: skip
_TWEET_FIELDS = (
    *_SHARED_POST_FIELDS, "author_id", "in_reply_to_user_id", "referenced_tweets",
    "edit_history_tweet_ids", "note_tweet",
)  # fmt: skip
USER_FIELDS = ("id", "name", "username", "profile_image_url", "protected", "verified")
DM_USER_FIELDS = (*USER_FIELDS, "connection_status", "receives_your_dm")


def check_vocabulary(value: str) -> Vocabulary:
    """The same text as a Vocabulary; ValueError says which two there are."""
    for known in get_args(Vocabulary):
        if value == known:
            return known
    raise ValueError(f'The X field vocabulary is "post" or "tweet", not {value!r}.')


def post_params(
    vocabulary: Vocabulary, *, expand_authors: bool, expand_references: bool
) -> dict[str, str]:
    """Query parameters that ask for every field of `types.Post`.

    In the "post" vocabulary both expansions happen whatever is asked: without them the ids of
    author and references do not arrive.
    """
    if vocabulary == "post":
        params = {"post.fields": ",".join((*_SHARED_POST_FIELDS, "note_post"))}
        expansions = [
            "author_id", "referenced_posts", "in_reply_to_user_id", "edit_history_post_ids",
        ]  # fmt: skip
    else:
        params = {"tweet.fields": ",".join(_TWEET_FIELDS)}
        expansions = ["author_id"] if expand_authors else []
        if expand_references:
            expansions.append("referenced_tweets.id")
    if expansions:
        params["expansions"] = ",".join(expansions)
    if "author_id" in expansions:
        params["user.fields"] = ",".join(USER_FIELDS)
    return params


def own_post_params(vocabulary: Vocabulary) -> dict[str, str]:
    """As `post_params`, at the lowest price, where the author is known before asking."""
    if vocabulary == "post":
        fields = (*_SHARED_POST_FIELDS, "note_post")
        return {"post.fields": ",".join(fields), "expansions": "referenced_posts"}
    return {"tweet.fields": ",".join(_TWEET_FIELDS)}


def message_params(vocabulary: Vocabulary) -> dict[str, str]:
    """Query parameters that ask for every field of `types.MessageEvent`."""
    fields = ["id", "event_type", "text", "created_at", "dm_conversation_id", "entities"]
    params = {"event_types": "MessageCreate"}
    if vocabulary == "post":
        params["expansions"] = "sender_id"
    else:
        fields.append("sender_id")
    params["dm_event.fields"] = ",".join(fields)
    return params
