"""Cells of lists; what unfold draws anew for each row, though it is the same, is drawn once.

A list of fifty mentions took 185 ms, twelve of them in the database: fifty times the nine headers,
a hundred labels of a dozen kinds, fifty boxes that differ in one id, each through a template.
"""

from datetime import datetime
from functools import lru_cache, wraps
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold import utils
from unfold.admin import checkbox
from unfold.templatetags import unfold_list

_MARK = "the-id-of-the-row"
_MOST_KEPT = 512
_EXCERPT = 110


def draw_once() -> None:
    """Let unfold's lists keep what does not change from row to row; again is no harm."""
    if not hasattr(unfold_list.result_headers, "__wrapped__"):
        unfold_list.result_headers = _once_a_page(unfold_list.result_headers)
        unfold_list.display_for_label = _once_a_label(unfold_list.display_for_label)
        utils._boolean_icon = lru_cache(_MOST_KEPT, typed=True)(utils._boolean_icon)


def draw_checkbox(key: str) -> SafeString:
    """The box that chooses a row for an action."""
    return format_html(_draw_any_checkbox(), key)


def draw_moment(moment: datetime) -> SafeString:
    """Date above time: a column that leaves a small window room for the text."""
    return format_html(
        '<span class="block whitespace-nowrap">{}</span>'
        '<span class="block whitespace-nowrap text-base-500">{} UTC</span>',
        date_format(moment, "DATE_FORMAT"),
        date_format(moment, "TIME_FORMAT"),
    )


def draw_excerpt(text: str) -> SafeString:
    """The beginning of a text, in two lines at the most."""
    # Bounded on all sides, or one long word pushes the other columns out of the window.
    return format_html(
        '<span dir="auto" style="display: -webkit-box; -webkit-box-orient: vertical; '
        "-webkit-line-clamp: 2; overflow: hidden; overflow-wrap: anywhere; "
        'min-width: 14rem; max-width: 26rem">{}</span>',
        text if len(text) <= _EXCERPT else f"{text[: _EXCERPT - 1]}…",
    )


@lru_cache(1)
def _draw_any_checkbox() -> str:
    """As a format: with ``{}`` in the place of the row's id."""
    drawn = str(checkbox.render(ACTION_CHECKBOX_NAME, _MARK))
    return drawn.replace("{", "{{").replace("}", "}}").replace(_MARK, "{}")


def _once_a_page(draw: Any) -> Any:
    @wraps(draw)
    def draw_headers(changelist: Any) -> list[dict[str, Any]]:
        if not hasattr(changelist, "drawn_headers"):
            changelist.drawn_headers = list(draw(changelist))
        return changelist.drawn_headers

    return draw_headers


def _once_a_label(draw: Any) -> Any:
    @lru_cache(_MOST_KEPT, typed=True)
    def draw_kept(value: Any, empty: str, variants: Any) -> SafeString:
        return draw(value, empty, dict(variants) if isinstance(variants, tuple) else variants)

    @wraps(draw)
    def draw_label(value: Any, empty: str, label: Any) -> SafeString:
        if isinstance(value, list):
            return draw(value, empty, label)
        return draw_kept(value, empty, tuple(label.items()) if isinstance(label, dict) else label)

    return draw_label
