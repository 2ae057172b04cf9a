"""What is cut out of a text that quotes a deleted one."""

import pytest

from mentions.recheck.quotes import MARK, QuoteCutter

SOURCE = "@acme mein Paket 4711-0815 ist weg, ruft mich an: 0171 5550123"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (SOURCE, MARK),
        (f"He wrote: “{SOURCE}”!", f"He wrote: “{MARK}”!"),
        ("> MEIN   PAKET 4711-0815\n> ist weg, ja", f"> {MARK}\n> ist weg, ja"),
        ("Sorry to hear it, Dora Klein. @doraK, write us.", f"Sorry to hear it, {MARK}. {MARK}, w"),
        ("Ring 0171 5550123 up.", f"Ring {MARK} {MARK} up."),
        ("We are open until six.", "We are open until six."),
        ("Dorade ist aus.", "Dorade ist aus."),
        ("", ""),
    ],
)
def test_quotations_and_names_are_cut(text: str, left: str) -> None:
    cut = QuoteCutter([SOURCE], ["dorak", "Dora Klein"]).cut(text)
    assert cut.startswith(left)
    assert QuoteCutter([SOURCE], ["dorak", "Dora Klein"]).cut(cut) == cut


def test_a_quotation_without_spaces_is_cut_when_it_is_long_enough() -> None:
    source = "@acme 注文した商品がまだ届いていません、電話番号は090です"
    cutter = QuoteCutter([source])
    assert (
        cutter.cut("「商品がまだ届いていません、電話番号は090」とのこと") == f"「{MARK}」とのこと"
    )


def test_a_short_source_is_cut_as_a_whole() -> None:
    assert (
        QuoteCutter(["where?!"]).cut("He asked: Where?! And then") == f"He asked: {MARK} And then"
    )
    assert QuoteCutter(["no"]).cut("no, not now") == "no, not now"


def test_every_text_inside_a_json_value_is_cut() -> None:
    value = {"a": [SOURCE, 1, None], "text": "a draft", "b": {"c": f"x {SOURCE}"}}
    assert QuoteCutter([SOURCE]).cut_all(value, emptied=["text"]) == {
        "a": [MARK, 1, None],
        "text": "",
        "b": {"c": f"x {MARK}"},
    }
