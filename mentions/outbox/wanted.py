"""Whether a mention is still what a reply was made for."""

from accounts.errors import CallRefusedError
from mentions.models import GONE_STATES, Message, Reply


class UnwantedError(CallRefusedError):
    """The mention is not any more what the reply was made for: nothing was sent."""

    default_code = "message_deleted"
    default_sentence = "The mention was deleted before the reply could be sent."
    scope = "call"


class MentionGoneError(UnwantedError):
    default_code = "deleted_on_x"
    default_sentence = "The author deleted this post on X: there is nothing to answer any more."


class MentionEditedError(UnwantedError):
    default_code = "mention_edited"
    default_sentence = "The author edited the mention after this reply was queued: read it again."


def read_wanted(reply: Reply) -> Message:
    """The mention, as long as it is what the reply was made for; else raises UnwantedError."""
    message = Message.objects.filter(pk=reply.message_id).first()
    if message is None:
        raise UnwantedError
    if message.x_state in GONE_STATES:
        raise MentionGoneError
    if message.is_edited_since(reply.target_post_id):
        raise MentionEditedError
    return message
