"""The moderation desk: from the list of mentions to a reply on X."""

from collections.abc import Callable
from typing import Any

from django.conf import settings as django_settings
from django.utils import timezone
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from accounts.models import User
from autores.sandbox.server import RunningSandbox
from autores.tests.browser.page import PHONE, Page
from autores.tests.cast import PASSWORD
from mentions.models import Draft, Message, MessageStatus, Reply
from mentions.outbox.deliver import deliver_reply

MENTIONS = "/admin/mentions/message/"
ROWS = "#result_list tbody tr"


def address_of(message: Message) -> str:
    return f"{MENTIONS}{message.pk}/change/"


def list_authors(page: Page) -> list[str]:
    """The @names of the rows, top to bottom."""
    return [
        word.lstrip("@")
        for row in page.find_all(ROWS)
        for word in row.text.split()
        if word.startswith("@") and word not in {"@aurora_coffee", "@nimbus_bikes"}
    ]


def choose_filter(page: Page, title: str, option: str) -> None:
    """Open the filters, pick from the dropdown under the title, and apply."""
    page.find("[x-on\\:click*='filterOpen']").send_keys(Keys.ENTER)
    page.find(f"#changelist-filter select[name^={title}] + .select2 .select2-selection").click()
    page.wait(
        f"{option} is offered",
        lambda: next(
            (o for o in page.find_all(".select2-results__option") if o.text == option), None
        ),
    ).click()
    page.shoot(f"filter-{title}")
    page.press_and_load(page.find_button("Apply Filters"))


def test_draft_is_changed_approved_and_sent_when_ana_works_the_desk(
    page: Page,
    ana: User,
    mentions: dict[str, Message],
    sandbox: RunningSandbox,
    send_due_replies: Callable[[], int],
) -> None:
    page.open("/admin/")
    page.fill("input[name=username]", "ana")
    page.fill("input[name=password]", PASSWORD)
    page.shoot("1-login")
    page.press_and_load(page.find("button[type=submit]"))
    page.shoot("2-index")

    page.open(MENTIONS)
    assert sorted(list_authors(page)) == ["dora_k", "emil", "fay", "gus", "layla"]
    page.shoot("3-list")

    # The counter is right when the page opens, and follows the typing.
    page.press_and_load(page.find_all(f"{ROWS} th a")[list_authors(page).index("dora_k")])
    draft = Draft.objects.get(message=mentions["dora_k"])
    box = page.find("#desk-text")
    assert box.get_attribute("value") == draft.text
    shown = "return getComputedStyle(document.querySelector('article > p')).whiteSpace"
    assert page.run(shown) == "pre-wrap"
    page.wait("the draft is counted", lambda: page.find("#desk-count").text.endswith(" / 280"))
    page.shoot("4-desk")
    page.fill("#desk-text", "Yes: 9 to 6. 日本語も")
    page.wait("wide letters count twice", lambda: page.find("#desk-count").text == "21 / 280")
    page.fill("#desk-text", "x" * 281)
    page.wait("too much is counted", lambda: page.find("#desk-count").text == "281 / 280")
    assert "red" in (page.find("#desk-count").get_attribute("class") or "")
    page.shoot("5-too-long")

    # A refusal keeps what was typed.
    page.press_and_load(page.find_button("Approve and send"))
    assert page.find("#desk-text").get_attribute("value") == "x" * 281
    assert "shorten" in page.text
    page.fill("#desk-text", "Yes, from nine to six. See you!")
    page.press_and_load(page.find_button("Approve and send"))
    assert "on its way" in page.text
    page.shoot("6-on-its-way")

    assert send_due_replies() == 1
    page.open(address_of(mentions["dora_k"]))
    assert "SENT" in page.find("[aria-label='The mention']").text
    assert "Approve and send" not in page.list_buttons()
    page.shoot("7-sent")
    (reply,) = sandbox.control.list_posts(author="aurora_coffee")
    assert reply["text"] == "@dora_k Yes, from nine to six. See you!"
    assert reply["in_reply_to"] == mentions["dora_k"].post_id


def test_what_ana_typed_is_still_there_when_she_presses_another_button(
    page: Page,
    ana: User,
    mentions: dict[str, Message],
    sign_in: Callable[[User], None],
    settings: Any,
) -> None:
    settings.REPLY_UNDO_SECONDS = 60

    def read_fields() -> tuple[str | None, ...]:
        ids = ("#desk-text", "#desk-dm-text", "#desk-prompt")
        return tuple(page.find(name).get_attribute("value") for name in ids)

    sign_in(ana)
    page.open(address_of(mentions["dora_k"]))
    page.fill("#desk-text", "Half a sentence")
    page.fill("#desk-prompt", "be kind")
    page.find("#desk-dm summary").click()
    page.fill("#desk-dm-text", "Only for you")
    page.press_and_load(page.find_button("Claim"))
    assert read_fields() == ("Half a sentence", "Only for you", "be kind")
    page.shoot("typed-after-claim")

    # The reply is used up, the rest is not; and undoing it brings it back.
    page.press_and_load(page.find_button("Approve and send"))
    assert page.find("#desk-dm-text").get_attribute("value") == "Only for you"
    page.fill("#desk-dm-text", "Only for you, really")
    page.press_and_load(page.find_button("Undo"))
    assert "Undone: it is not sent." in page.text
    text, message, _ = read_fields()
    assert (text, message) == ("Half a sentence", "Only for you, really")
    page.shoot("typed-after-undo")


def test_what_ana_typed_is_there_again_when_her_session_had_ended(
    page: Page, ana: User, mentions: dict[str, Message], sign_in: Callable[[User], None]
) -> None:
    sign_in(ana)
    page.open(address_of(mentions["dora_k"]))
    page.fill("#desk-text", "A long answer")
    page.chrome.delete_cookie(django_settings.SESSION_COOKIE_NAME)
    page.press_and_load(page.find_button("Save draft"))
    # The counter may have asked without a session.
    page.take_errors()
    page.fill("input[name=username]", "ana")
    page.fill("input[name=password]", PASSWORD)
    page.press_and_load(page.find("button[type=submit]"))
    assert page.find("#desk-text").get_attribute("value") == "A long answer"
    assert "Your session had ended: what you typed is here again" in page.text
    page.shoot("signed-in-again")
    page.press_and_load(page.find_button("Save draft"))
    assert Draft.objects.get(message=mentions["dora_k"]).text == "A long answer"
    assert "Your session had ended" not in page.text


def test_what_ana_is_writing_stays_when_x_has_something_to_tell(
    page: Page,
    ana: User,
    mentions: dict[str, Message],
    sign_in: Callable[[User], None],
    settings: Any,
) -> None:
    """The page looks by itself for what became of a message, and shows itself anew then."""
    settings.REPLY_UNDO_SECONDS = 0
    sign_in(ana)
    page.open(address_of(mentions["emil"]))
    page.fill("#desk-text", "A long answer that is not")
    page.find("#desk-dm summary").click()
    page.fill("#desk-dm-text", "Only for you")
    page.press_and_load(page.find_button("Send direct message"))
    assert page.find("#desk-text").get_attribute("value") == "A long answer that is not"
    (reply,) = Reply.objects.all()
    deliver_reply(reply.pk, now=timezone.now())
    looks = (
        "return performance.getEntriesByType('resource')"
        ".filter((entry) => entry.name.includes(arguments[0])).length"
    )
    before = page.run(looks, f"/replies/{reply.pk}")
    page.wait("it looks again", lambda: page.run(looks, f"/replies/{reply.pk}") > before + 1)
    assert page.find("#desk-text").get_attribute("value") == "A long answer that is not"


def test_counter_says_so_when_a_text_is_far_too_long(
    page: Page, ana: User, mentions: dict[str, Message], sign_in: Callable[[User], None]
) -> None:
    sign_in(ana)
    page.open(address_of(mentions["emil"]))
    page.fill("#desk-text", "Short")
    page.wait("it is counted", lambda: page.find("#desk-count").text == "5 / 280")
    page.run(
        "const box = document.getElementById('desk-text');"
        "box.value = '😀'.repeat(12000); box.dispatchEvent(new Event('input'))"
    )
    page.wait("it is refused", lambda: page.find("#desk-count").text == "over 280")
    page.take_errors()


def test_list_is_narrowed_when_ana_filters_and_searches(
    page: Page, ana: User, mentions: dict[str, Message], sign_in: Callable[[User], None]
) -> None:
    Message.objects.filter(pk=mentions["gus"].pk).update(status=MessageStatus.IGNORED)
    sign_in(ana)
    page.open(MENTIONS)
    choose_filter(page, "status", "Ignored")
    assert list_authors(page) == ["gus"]
    assert "status__exact=ignored" in page.chrome.current_url

    page.open(MENTIONS)
    choose_filter(page, "account", "@nimbus_bikes")
    assert list_authors(page) == ["fay"]

    page.open(MENTIONS)
    page.fill("#searchbar", "5512")
    page.press_and_load(page.find("#searchbar"), by=lambda box: box.send_keys(Keys.ENTER))
    assert list_authors(page) == ["emil"]
    page.shoot("search")


def test_mentions_are_ignored_when_ana_picks_several(
    page: Page, ana: User, mentions: dict[str, Message], sign_in: Callable[[User], None]
) -> None:
    sign_in(ana)
    page.open(MENTIONS)
    for author in ("gus", "emil"):
        page.find_all(f"{ROWS} input.action-select")[list_authors(page).index(author)].click()
    Select(page.find("select[name=action]")).select_by_visible_text("Ignore")
    page.shoot("picked")
    page.press_and_load(page.find_button("Run"))
    assert "2 ignored." in page.text
    page.shoot("ignored")
    left = Message.objects.exclude(status=MessageStatus.IGNORED)
    assert {message.author_username for message in left} == {"dora_k", "layla", "fay"}


def test_sending_is_not_offered_when_bruno_may_only_draft(
    page: Page, bruno: User, mentions: dict[str, Message], sign_in: Callable[[User], None]
) -> None:
    sign_in(bruno)
    page.open(MENTIONS)
    assert "fay" not in list_authors(page)
    page.open(address_of(mentions["dora_k"]))
    buttons = page.list_buttons("#desk-form button")
    assert "Submit for approval" in buttons
    assert not [words for words in buttons if "end" in words.lower().split()]
    page.shoot("responder")
    page.press_and_load(page.find_button("Submit for approval"))
    assert Draft.objects.get(message=mentions["dora_k"]).state == "submitted"


def test_nothing_is_shown_when_carla_works_for_no_account(
    page: Page, carla: User, mentions: dict[str, Message], sign_in: Callable[[User], None]
) -> None:
    sign_in(carla)
    page.open("/admin/")
    assert page.find_all(f"a[href='{MENTIONS}']") == []
    page.shoot("stranger-index")
    for path in (MENTIONS, address_of(mentions["dora_k"])):
        page.open(path)
        page.find("body")
        assert "Sundays" not in page.text
    page.shoot("stranger-refused")
    assert [line for line in page.take_errors() if "403" not in line] == []


def test_pages_fit_when_the_screen_is_a_phone(
    page: Page, ana: User, mentions: dict[str, Message], sign_in: Callable[[User], None]
) -> None:
    page.resize(PHONE)
    page.open("/admin/login/")
    assert page.find_overflow() == []
    sign_in(ana)
    paths = {
        "index": "/admin/",
        "list": MENTIONS,
        "desk": address_of(mentions["gus"]),
        "desk-right-to-left": address_of(mentions["layla"]),
        "drafts": "/admin/mentions/draft/",
    }
    for name, path in paths.items():
        page.open(path)
        page.shoot(f"phone-{name}")
        assert page.find_overflow() == [], path


def test_focus_goes_down_the_desk_when_only_the_keyboard_is_used(
    page: Page, ana: User, mentions: dict[str, Message], sign_in: Callable[[User], None]
) -> None:
    sign_in(ana)
    page.open(address_of(mentions["dora_k"]))
    page.find("#desk-text")
    stops = page.press_tab_until("What happened")
    desk = stops[stops.index("desk-text") :]
    assert desk == [
        "desk-text",
        "Approve and send",
        "Save draft",
        "Submit for approval",
        "Reject draft",
        "desk-prompt",
        "Draft",
        "Direct message instead",
        "Claim",
        "Ignore",
        "What happened (1)",
    ]
