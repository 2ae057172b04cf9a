"""Whose a message is, by rules: first the rules alone, then a whole import."""

import json
import stat

import pytest
from django.core.management import CommandError

from accounts.models import TwitterAccount
from mentions.legacy.attribution import Ambiguous, AttributionError, AttributionRules, read_rules
from mentions.models import Draft, Message

RULES = AttributionRules({"acme": "a", "acme_help": "a", "beta": "b"}, {"7": "b"})


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("@acme where is it?", "a"),
        ("where is it @ACME?", "a"),
        (".@acme where?", "a"),
        ("@dora @Acme thanks @beta", "a"),
        ("  @acme\n@acme_help both are one account's", "a"),
        ("＠beta full-width", "b"),
        ("thanks @beta, you too @dora", "b"),
        ("(@acme)", "a"),
    ],
)
def test_account_is_chosen_when_one_alone_is_named(text, account):
    assert RULES.choose("1", text) == account


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("@acme @beta who knows?", ("a", "b")),
        ("@dora see @beta and @acme", ("b", "a")),
        ("nobody", ()),
        ("@acmee @acme_ help@acme.com https://x.com/@acme @@acme", ()),
        ("", ()),
    ],
)
def test_message_is_ambiguous_when_not_exactly_one_is_named(text, candidates):
    found = RULES.choose("1", text)
    assert isinstance(found, Ambiguous)
    assert found.candidates == candidates


def test_rule_of_the_message_comes_first_when_its_text_names_another():
    assert RULES.choose("7", "@acme where is it?") == "b"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"handles": {"acme": "a"', "line 1"),
        ('{"names": {}}', "not of the form JSON"),
        ('{"handles": {"acme": 1}}', "not of the form JSON"),
        ("name,account\nx,y\n", "header handle,account or message,account"),
        ("handle,account\n@acme,a\n@acme,b\n", "line 3: handle 'acme' is given to 'a' and to 'b'"),
        ("handle,account\nno name,a\n", "line 2: 'no name' is no @name"),
        ("message,account\n1\n", "line 2: 1 values instead of 2"),
        ("message,account\n1,\n", "line 2: the message or the account is empty"),
        ('{"messages": {"1": "a", "1": "b"}}', "'1' is there twice, with different values"),
    ],
)
def test_file_is_refused_with_its_line_when_wrong(tmp_path, text, words):
    path = tmp_path / "rules"
    path.write_text(text)
    with pytest.raises(AttributionError) as raised:
        read_rules([str(path)])
    assert words in str(raised.value)
    assert str(path) in str(raised.value)


def test_blanks_about_an_id_mean_nothing(tmp_path):
    path = tmp_path / "rules"
    path.write_text("message,account\n 1785 , acc-1\n")
    assert read_rules([str(path)]).messages == {"1785": "acc-1"}


@pytest.fixture
def two_accounts(legacy, tmp_path):
    """Rules by @names in one file and by ids in another, and messages of each kind."""
    legacy.add_user("one", twitter_id="1001")
    legacy.add_user("two", twitter_id="1002")
    texts = {
        "11": "@acme where is it?",
        "12": "@Beta hello",
        "13": "@acme @beta who?",
        "14": "no names at all",
        "15": "no names, but a rule",
        "16": "unknown status @beta",
    }
    for key, text in texts.items():
        legacy.add_message(key, text=text, status="odd" if key == "16" else "pending")
    handles, ids = tmp_path / "handles.csv", tmp_path / "ids.json"
    handles.write_text("handle,account\n@Acme,one\nbeta,1002\n")
    ids.write_text('{"messages": {"15": "1001", "no-such-row": "two"}}')
    return ["--attribute-by", str(handles), "--attribute-by", str(ids)]


WANTED = {"11": "one", "12": "two", "13": None, "14": None, "15": "one", "16": "two"}


def list_accounts():
    return dict(Message.objects.values_list("pk", "account_id"))


@pytest.mark.parametrize("workers", ["0", "1"])
def test_each_message_gets_its_account_when_rules_decide(
    two_accounts, legacy, run_import, tmp_path, workers
):
    path = tmp_path / "ambiguous.ndjson"
    options = [*two_accounts, "--ambiguous-file", str(path), "--workers", workers]

    for arguments in (["--dry-run"], [], ["--chunk-size", "2"]):
        report = run_import(*options, *arguments)
        assert report["exit_code"] == 0
        assert report["tables"]["messages"]["ambiguous"] == 2
        assert report["attribution"] == "accounts by 2 @names and 2 message ids"
        assert report["warnings"] == [
            "1 of the 2 message ids in the rules are in no row, and decide nothing: 'no-such-row'. "
            "See that no program has rounded or cut them."
        ]
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert lines == report["tables"]["messages"]["ambiguous_list"]
        assert lines == [
            {
                "id": "13",
                "reason": "names more than one of the accounts",
                "candidates": ["one", "two"],
            },
            {"id": "14", "reason": "names none of the accounts", "candidates": []},
        ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list_accounts() == WANTED
    assert report["changes"] == 0
    replyable = dict(Message.objects.values_list("pk", "is_replyable"))
    assert replyable == {key: account is not None for key, account in WANTED.items()}
    assert report["verification"]["messages_by_account"] == {"": 2, "one": 2, "two": 2}

    # One more rule: only the messages it decides change.
    rules = tmp_path / "more.csv"
    rules.write_text("message,account\n13,two\n")
    report = run_import(*options, "--attribute-by", str(rules))
    assert report["tables"]["messages"]["updated"] == 1
    assert list_accounts() == {**WANTED, "13": "two"}


def test_names_of_connected_accounts_are_known_when_no_file_has_them(legacy, run_import, tmp_path):
    legacy.add_user("one", twitter_id="1001")
    TwitterAccount.objects.create(id="here", twitter_id="1002", twitter_username="Beta")
    legacy.add_user("two", twitter_id="1002")
    legacy.add_message("1", text="hello @beta")
    legacy.add_message("2", text="hello @acme")
    legacy.add_message("3", text="hello")
    rules = tmp_path / "rules.csv"
    rules.write_text("message,account\n3,two\n")

    report = run_import("--attribute-by", str(rules))

    # The legacy row of an account that is connected here already means that account.
    assert list_accounts() == {"1": "here", "2": None, "3": "here"}
    assert report["tables"]["messages"]["ambiguous"] == 1


def test_nothing_is_read_when_a_rule_names_an_unknown_account(two_accounts, run_import, tmp_path):
    rules = tmp_path / "more.csv"
    rules.write_text("handle,account\ngamma,three\n")
    with pytest.raises(CommandError, match="Account three is neither in the legacy users"):
        run_import(*two_accounts, "--attribute-by", str(rules))
    assert not Message.objects.exists()
    with pytest.raises(CommandError, match="--ambiguous-file belongs to --attribute-by"):
        run_import("--ambiguous-file", str(tmp_path / "x"))


def test_rules_decide_when_following_and_are_asked_for_again(
    two_accounts, legacy, run_import, tmp_path
):
    legacy.execute("SET GLOBAL read_only = 1")
    path = tmp_path / "ambiguous.ndjson"
    options = ["--follow", "--until-drained", *two_accounts, "--ambiguous-file", str(path)]
    try:
        run_import(*options)
        assert list_accounts() == WANTED
        legacy.add_message("21", text="@beta new")
        legacy.add_message("22", text="@beta @acme new")
        legacy.execute("UPDATE messages SET text = '@acme now' WHERE id = '14'")
        with pytest.raises(CommandError, match="not those this following began with"):
            run_import("--follow", "--until-drained", "--account", "one")
        report = run_import(*options)
    finally:
        legacy.execute("SET GLOBAL read_only = 0")
    assert report["exit_code"] == 0
    assert list_accounts() == {**WANTED, "14": "one", "21": "two", "22": None}
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["22"]
    assert report["counts"]["messages"]["without_account"] == 1


@pytest.fixture
def given(legacy, run_import):
    """Two accounts, and two messages that the first has here."""
    legacy.add_user("one", twitter_id="1001")
    legacy.add_user("two", twitter_id="1002")
    legacy.add_message("1", text="first")
    legacy.add_message("2", text="second")
    run_import("--account", "one")


@pytest.mark.parametrize("other", [("--account", "two"), ("--unattributed",)])
def test_message_stays_with_its_account_when_another_is_chosen(given, legacy, run_import, other):
    legacy.execute("UPDATE messages SET text = 'changed there' WHERE id = '1'")

    for arguments in (["--dry-run"], []):
        report = run_import(*other, *arguments)
        assert report["tables"]["messages"]["updated"] == 1
        assert report["tables"]["messages"]["conflicts"] == 0
        assert "2 messages have another account here" in report["warnings"][0]
    assert list_accounts() == {"1": "one", "2": "one"}
    assert Message.objects.get(pk="1").text == "changed there"
    assert report["verification"]["is_proven"]


def test_message_changes_hands_when_told_to_and_nobody_works_on_it(given, run_import):
    Draft.objects.create(message_id="2", account_id="one", open_key="2", text="Hello.")

    report = run_import("--account", "two", "--reattribute")

    assert (report["tables"]["messages"]["updated"], report["exit_code"]) == (1, 2)
    # What a person changed is a conflict, and moves no more than the other.
    assert report["tables"]["messages"]["notes"] == {"message given to another account": 1}
    (conflict,) = report["tables"]["messages"]["conflict_list"]
    assert conflict["reason"] == "stays with its account, as drafts here refer to it"
    assert conflict["values"] == {"account_id": {"legacy": "two", "here": "one"}}
    assert list_accounts() == {"1": "two", "2": "one"}
    again = run_import("--account", "two", "--reattribute")
    assert again["tables"]["messages"]["unchanged"] == 1
    Draft.objects.all().delete()
    assert run_import("--unattributed", "--reattribute")["exit_code"] == 0
    assert list_accounts() == {"1": None, "2": None}


def test_following_does_not_go_on_for_another_account(given, legacy, run_import):
    legacy.execute("SET GLOBAL read_only = 1")
    options = ["--follow", "--until-drained"]
    try:
        run_import(*options, "--account", "1001")
        legacy.add_message("3")
        for other in (["--account", "two"], ["--unattributed"], ["--account", "nobody"]):
            with pytest.raises(CommandError, match="This following gives messages to account one"):
                run_import(*options, *other)
        run_import(*options, "--account", "one")
        legacy.add_message("4")
        run_import(*options)
    finally:
        legacy.execute("SET GLOBAL read_only = 0")
    assert set(list_accounts().values()) == {"one"}
    assert len(list_accounts()) == 4


def test_following_says_what_stayed_when_it_starts_over_by_other_rules(
    two_accounts, legacy, run_import
):
    legacy.execute("SET GLOBAL read_only = 1")
    options = ["--follow", "--until-drained"]
    try:
        run_import(*options, "--account", "two")
        with pytest.raises(CommandError, match="add --start-over --reattribute"):
            run_import(*options, *two_accounts)
        report = run_import(*options, *two_accounts, "--start-over")
        assert any("stay with it" in warning for warning in report["warnings"])
        assert set(list_accounts().values()) == {"two"}
        report = run_import(*options, *two_accounts, "--start-over", "--reattribute")
    finally:
        legacy.execute("SET GLOBAL read_only = 0")
    assert not any("stay with it" in warning for warning in report["warnings"])
    assert list_accounts() == WANTED
