"""What is drawn once looks like what unfold draws for each row."""

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from unfold import utils
from unfold.admin import checkbox
from unfold.templatetags import unfold_list

from accounts.admin.cells import _once_a_page, draw_checkbox, draw_once

VARIANTS = {"sent": "success", "failed": "danger"}


@pytest.mark.parametrize("key", ["1", "0a-b", """<b>"it's" & so on</b>"""])
def test_box_is_the_rows_own_when_drawn_from_the_kept_one(key):
    assert draw_checkbox(key) == checkbox.render(ACTION_CHECKBOX_NAME, key)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (("sent", "Sent"), VARIANTS),
        (("failed", "Sent"), VARIANTS),
        (("unknown", "Unknown"), VARIANTS),
        ("sent", VARIANTS),
        ("<i>", True),
        (1, True),
        (True, True),
        ("", True),
        (None, True),
        (["one", "two"], True),
    ],
)
def test_label_is_the_same_when_drawn_for_the_second_row(value, label):
    draw_once()
    expected = utils.display_for_label(value, "-", label)
    for _ in range(2):
        assert unfold_list.display_for_label(value, "-", label) == expected


def test_headers_are_drawn_once_for_a_page_and_anew_for_the_next():
    class Page:
        pass

    drawn = []
    draw_headers = _once_a_page(lambda page: iter([{"text": drawn.append(page)}]))
    first, second = Page(), Page()
    for page in (first, first, second):
        assert len(draw_headers(page)) == 1
    assert drawn == [first, second]
    assert hasattr(unfold_list.result_headers, "__wrapped__"), "the admin's own are kept"
