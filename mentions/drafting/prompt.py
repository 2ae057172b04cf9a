"""The prompt of a draft: our rules on one side, strangers' posts as fenced data on the other.

Pure: the same input gives the same prompt. The templates are prompts/*.md.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from string import Template

from autores.x.text import MAX_WEIGHTED_LENGTH
from mentions.drafting.characters import show_visible_text

FENCE = "untrusted_posts"
TEMPLATE_NAME = "reply"
TEMPLATE_NUMBER = 1

# A long post has up to 25,000 characters; what matters to a reply of 280 stands at its start.
MAX_POST_CHARACTERS = 4_000
MAX_THREAD_POSTS = 10
MAX_VOICE_CHARACTERS = 8_000
MAX_CUSTOM_PROMPT_CHARACTERS = 4_000

_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
# X gives these where it found no language, only a link, a hashtag, a mention, a picture and so on.
_NO_LANGUAGE = frozenset({"und", "zxx", "mul", "mis", "art", "qam", "qct", "qht", "qme", "qst"})


class PromptInputError(ValueError):
    """The account's voice or the moderator's wish cannot be used. Trying again does not help."""

    retryable = False
    retry_after = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadPost:
    """One earlier post of the conversation. `is_own` when the account itself wrote it."""

    author_username: str
    text: str
    is_own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """`version` names the templates by number and content; `context_hash` (SHA-256, hex) changes
    whenever anything the model would read changes, so a draft can be known to be out of date.
    """

    system: str
    user: str
    version: str
    context_hash: str


def build_prompt(
    *,
    mention_text: str,
    author_username: str,
    account_username: str,
    account_voice: str | None,
    custom_prompt: str | None,
    thread: Sequence[ThreadPost] = (),
    language_hint: str | None = None,
    max_weighted_length: int = MAX_WEIGHTED_LENGTH,
) -> Prompt:
    """Build the two messages of a drafting call.

    `thread` is oldest first and without the mention; its latest MAX_THREAD_POSTS are used.
    `language_hint` is X's `lang` of the mention. Raises PromptInputError when the voice or the
    custom prompt is too long.
    """
    voice = _clean_instructions(
        account_voice, limit=MAX_VOICE_CHARACTERS, what="The account's voice"
    )
    wish = _clean_instructions(
        custom_prompt, limit=MAX_CUSTOM_PROMPT_CHARACTERS, what="The custom prompt"
    )
    lines = [
        _encode_post(p.text, author=p.author_username, is_own=p.is_own)
        for p in list(thread)[-MAX_THREAD_POSTS:]
    ]
    lines.append(_encode_post(mention_text, author=author_username, is_target=True))
    system = Template(_read_template("system")).substitute(
        fence=FENCE,
        account_username=_clean_username(account_username),
        account_voice=voice or "Friendly, clear and brief. No facts about the account are known.",
        custom_prompt=wish or "Nothing in particular.",
        language_rule=_describe_language(language_hint),
        max_weighted_length=max_weighted_length,
    )
    user = Template(_read_template("user")).substitute(fence=FENCE, posts="\n".join(lines))
    version = prompt_version()
    digest = hashlib.sha256("\0".join((version, system, user)).encode()).hexdigest()
    return Prompt(system=system, user=user, version=version, context_hash=digest)


@lru_cache(maxsize=1)
def prompt_version() -> str:
    """Return for instance `reply.v1-3fa94c21`: number, and digest of the templates' content."""
    content = "\0".join(_read_template(part) for part in ("system", "user"))
    return f"{TEMPLATE_NAME}.v{TEMPLATE_NUMBER}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


@lru_cache(maxsize=1)
def fixed_prompt_text() -> str:
    """Return our rules without the account's parts: what no reply may repeat."""
    return "\n".join(re.sub(r"\$\w+", "\n", _read_template(part)) for part in ("system", "user"))


def _encode_post(text: str, *, author: str, is_own: bool = False, is_target: bool = False) -> str:
    """Return one line of JSON that holds neither a line end nor an angle bracket.

    So no post can close the fence, open another or pass for a line of its own.
    """
    visible = show_visible_text(text[: 4 * MAX_POST_CHARACTERS])
    post: dict[str, str | bool] = {"author": _clean_username(author), "us": is_own}
    if is_target:
        post["answer_this"] = True
    if len(visible) > MAX_POST_CHARACTERS:
        post["is_cut"] = True
    post["text"] = visible[:MAX_POST_CHARACTERS]
    line = json.dumps(post, ensure_ascii=False)
    for char in "<>&":
        line = line.replace(char, f"\\u{ord(char):04x}")
    return line


def _clean_username(username: str) -> str:
    """Return the handle without @; X's own handles have only these characters."""
    return re.sub(r"[^A-Za-z0-9_]", "", username)[:50]


def _clean_instructions(text: str | None, *, limit: int, what: str) -> str:
    cleaned = show_visible_text(text or "").strip()
    if len(cleaned) > limit:
        raise PromptInputError(
            f"{what} has {len(cleaned)} characters; shorten it to {limit} or fewer."
        )
    # The fence belongs to the posts alone.
    return re.sub(rf"</?\s*{FENCE}\s*>", "", cleaned, flags=re.IGNORECASE)


def _describe_language(hint: str | None) -> str:
    tag = (hint or "").strip()
    if not _LANGUAGE_TAG.fullmatch(tag) or tag.lower() in _NO_LANGUAGE:
        return "judge it from the text"
    return f"X takes it for {tag}; trust the text if it differs"


@lru_cache(maxsize=4)
def _read_template(part: str) -> str:
    folder = resources.files(__package__).joinpath("prompts")
    return folder.joinpath(f"{TEMPLATE_NAME}.{part}.md").read_text(encoding="utf-8")
