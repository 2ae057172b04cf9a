import copy

import pytest

from mentions.legacy.proof.page import render_html, render_text
from mentions.legacy.proof.seal import (
    SealError,
    digest_report,
    is_intact,
    is_sealed,
    read_report,
    seal_report,
)

REPORT = {
    "source": "db/legacy",
    "verification": {
        "source": "db/legacy",
        "seconds": 1.5,
        "rows": 3,
        "rows_per_second": 2,
        "processes": 1,
        "sample": None,
        "is_proven": False,
        "verdict": "Not proven: 1 differing.",
        "tables": {
            "messages": {
                "in_mysql": 3,
                "in_mongodb": 3,
                "compared": 3,
                "equal": 2,
                "differing": 1,
                "listed": {
                    "differing": [
                        {
                            "id": "17",
                            "why": "is what the import wrote",
                            "fields": [
                                {
                                    "field": "text",
                                    "in_mysql": "'</script><b>x</b>'",
                                    "in_mongodb": "'ü'",
                                    "why": "",
                                }
                            ],
                        }
                    ]
                },
            }
        },
        "clock": None,
        "messages_by_account": {"": 3},
        "lost_accounts": [],
    },
}


def test_seal_fits_when_nothing_was_altered():
    sealed = seal_report(REPORT, previous="ab")

    assert is_intact(sealed)
    assert sealed["seal"]["previous"] == "ab"
    assert not is_sealed(REPORT)


@pytest.mark.parametrize(
    "path", [("verification", "rows"), ("seal", "previous"), ("seal", "sealed_at"), ("source",)]
)
def test_seal_is_broken_when_anything_was_altered(path):
    sealed = copy.deepcopy(seal_report(REPORT))
    target = sealed
    for name in path[:-1]:
        target = target[name]
    target[path[-1]] = "other"

    assert not is_intact(sealed)


def test_digest_is_the_same_when_keys_come_in_another_order():
    sealed = seal_report(REPORT)

    assert digest_report(dict(reversed(sealed.items()))) == sealed["seal"]["digest"]


def test_report_is_found_when_only_its_page_was_kept():
    sealed = seal_report(REPORT)
    page = render_html(sealed, run_id="run-1")

    assert read_report(page) == sealed
    assert is_intact(read_report(page))
    assert not is_intact(read_report(page.replace('"rows": 3', '"rows": 4')))


def test_text_is_shown_as_text_when_it_looks_like_a_page():
    page = render_html(seal_report(REPORT))

    assert "<b>x</b>" not in page
    assert page.count("</script>") == 1
    assert "src=" not in page
    assert "href=" not in page


def test_values_of_both_sides_are_named_when_rendered_as_text():
    text = render_text(seal_report(REPORT))

    assert "text: MySQL '</script><b>x</b>', MongoDB 'ü'" in text
    assert "Not proven" in text


@pytest.mark.parametrize("text", ["", "nothing", "[1]", "<html></html>"])
def test_error_says_so_when_there_is_no_report(text):
    with pytest.raises(SealError):
        read_report(text)
