"""What a person typed on the desk and has not used yet: it survives the next page.

Every button of the desk sends a form and shows the page anew. A refusal uses up nothing, claiming
a mention neither; kept in the session until a button uses it, and never stored elsewhere.
"""

from collections.abc import Collection, Mapping
from typing import Any

from django.http import HttpRequest

from mentions.recheck.redact import TYPED_KEY

FIELDS = ("text", "dm_text", "custom_prompt")
# With the version it was typed upon: saving it later must not undo what others wrote meanwhile.
_UPON = ("draft", "draft_version")
_MOST_KEPT = 20


def keep_typed(
    request: HttpRequest,
    message_id: str,
    *,
    used: Collection[str] = (),
    knows_newer: bool = False,
    wanted: Mapping[str, str] | None = None,
) -> None:
    """Keep the form's fields but ``used``, and ``wanted`` where the person typed nothing.

    ``knows_newer``: the person was told that others changed the draft, and may save over it now.
    """
    kept = {
        **(wanted or {}),
        **{name: request.POST[name] for name in FIELDS if request.POST.get(name)},
    }
    for name in used:
        kept.pop(name, None)
    if kept and not knows_newer:
        kept |= {name: request.POST[name] for name in _UPON if request.POST.get(name)}
    # The last ones: who leaves a text behind on each of a hundred mentions wants none of them.
    others = {
        key: value for key, value in request.session.get(TYPED_KEY, {}).items() if key != message_id
    }
    newest = dict([*others.items()][-_MOST_KEPT:])
    if newest or kept or TYPED_KEY in request.session:
        request.session[TYPED_KEY] = newest | ({message_id: kept} if kept else {})


def read_typed(request: HttpRequest, message_id: str) -> Mapping[str, Any]:
    """What was kept; also when the page is shown once more, or in another tab."""
    kept: Mapping[str, Any] = request.session.get(TYPED_KEY, {}).get(message_id, {})
    return kept
