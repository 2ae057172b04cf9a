import gzip
from typing import Any

import pytest
from django.db import OperationalError, connection

from accounts.models import Role, TwitterAccount, User
from autores.mongo.errors import CommitUnknownError, TransactionConflictError
from autores.problems import handle_exception
from autores.tests.cast import give_role
from mentions.api.serializers import MAX_LIMIT, MessageSerializer
from mentions.models import Message
from mentions.tests.api.conftest import Client, store_message

LEGACY_FIELDS = [
    "id",
    "timestamp",
    "user",
    "text",
    "status",
    "public_response",
    "dm_response",
    "credits_used",
    "redirected",
    "created_at",
    "updated_at",
]


@pytest.fixture
def acme(db: None) -> TwitterAccount:
    """Reading needs no tokens, hence no consent flow."""
    return TwitterAccount.objects.create(twitter_id="9001", twitter_username="acme")


@pytest.fixture
def globex(db: None) -> TwitterAccount:
    """An account that nobody of the cast is a member of."""
    return TwitterAccount.objects.create(twitter_id="9009", twitter_username="globex")


def list_ids(client: Any, query: str = "") -> list[str]:
    answer = client.get(f"/api/v1/messages/{query}")
    assert answer.status_code == 200, answer.content
    return [message["id"] for message in answer.json()]


def test_messages_come_newest_first_as_a_bare_array_when_listed(
    bruno: User, acme: TwitterAccount, client_of: Client
) -> None:
    stored = [store_message(acme, number) for number in (2, 1, 3)]
    answer = client_of(bruno).get("/api/v1/messages/")
    body = answer.json()
    assert isinstance(body, list)
    assert [item["id"] for item in body] == [stored[2].pk, stored[0].pk, stored[1].pk]
    assert list(body[0])[: len(LEGACY_FIELDS)] == LEGACY_FIELDS
    assert body[0]["timestamp"] == "2026-03-01T09:03:00Z"
    assert "raw" not in body[0]


def test_fields_are_those_of_the_openapi_document_when_a_message_is_read(
    bruno: User, acme: TwitterAccount, client_of: Client
) -> None:
    message = store_message(acme, 1)
    body = client_of(bruno).get(f"/api/v1/messages/{message.pk}").json()
    assert list(body) == list(MessageSerializer().fields)
    assert body["account_id"] == acme.pk
    assert body["post_url"] == f"https://x.com/lena/status/{message.pk}"


def test_no_redirect_is_met_when_the_trailing_slash_is_there_or_not(
    bruno: User, acme: TwitterAccount, client_of: Client
) -> None:
    message, client = store_message(acme, 1), client_of(bruno)
    for path in ("messages", f"messages/{message.pk}", "messages/stats"):
        for slash in ("", "/"):
            assert client.get(f"/api/v1/{path}{slash}").status_code == 200
    for path in ("reply", "dm-reply", "generate-response"):
        for slash in ("", "/"):
            answer = client.post(f"/api/v1/messages/none/{path}{slash}")
            assert answer.json()["code"] == "message_not_found"


def test_message_is_found_when_its_id_holds_a_colon(
    bruno: User, acme: TwitterAccount, client_of: Client
) -> None:
    message = store_message(acme, 1, id=f"1900000000000000001:{acme.twitter_id}")
    for path in (message.pk, message.pk.replace(":", "%3A")):
        assert client_of(bruno).get(f"/api/v1/messages/{path}").json()["id"] == message.pk


def test_401_is_answered_when_nobody_is_signed_in(client: Any, acme: TwitterAccount) -> None:
    message = store_message(acme, 1)
    for path in ("", message.pk, "stats"):
        answer = client.get(f"/api/v1/messages/{path}")
        assert answer.status_code == 401
        assert answer["Content-Type"] == "application/problem+json"


def test_404_is_answered_when_a_stranger_reads_a_message(
    carla: User, acme: TwitterAccount, client_of: Client
) -> None:
    message = store_message(acme, 1)
    client = client_of(carla)
    assert list_ids(client) == []
    hidden = client.get(f"/api/v1/messages/{message.pk}")
    absent = client.get("/api/v1/messages/404")
    assert hidden.status_code == absent.status_code == 404
    assert hidden.json()["code"] == absent.json()["code"] == "message_not_found"


def test_only_own_accounts_are_listed_when_there_are_others(
    bruno: User, acme: TwitterAccount, globex: TwitterAccount, client_of: Client
) -> None:
    own, _ = store_message(acme, 1), store_message(globex, 2)
    store_message(None, 3)
    client = client_of(bruno)
    assert list_ids(client) == [own.pk]
    assert list_ids(client, f"?account_id={globex.pk}") == []
    assert client.get("/api/v1/messages/stats").json() == {"total": 1, "by_status": {"pending": 1}}


def test_everything_is_listed_when_a_superuser_asks(
    acme: TwitterAccount, globex: TwitterAccount, client_of: Client, django_user_model: Any
) -> None:
    for number, account in enumerate((acme, globex, None)):
        store_message(account, number)
    root = django_user_model.objects.create_superuser(username="root", password="x" * 12)
    assert len(list_ids(client_of(root))) == 3
    assert len(list_ids(client_of(root), f"?account_id={acme.pk}")) == 1


def test_messages_of_two_accounts_are_merged_by_time_when_both_are_own(
    bruno: User, acme: TwitterAccount, globex: TwitterAccount, client_of: Client
) -> None:
    give_role(bruno, globex, Role.VIEWER)
    stored = [store_message((acme, globex)[number % 2], number) for number in range(6)]
    expected = [message.pk for message in reversed(stored)]
    assert list_ids(client_of(bruno)) == expected
    assert list_ids(client_of(bruno), "?skip=1&limit=3") == expected[1:4]


def test_only_what_was_asked_for_is_listed_when_filters_are_given(
    bruno: User, acme: TwitterAccount, client_of: Client
) -> None:
    plain = store_message(acme, 1)
    ignored = store_message(acme, 2, status="ignored")
    quote = store_message(acme, 3, kind="quote", is_replyable=False)
    other = store_message(acme, 4, user="7002", author_username="omar", status="escalated")
    client = client_of(bruno)
    assert list_ids(client, "?status=ignored") == [ignored.pk]
    assert list_ids(client, "?status=escalated") == [other.pk]
    assert list_ids(client, "?status=nonsense") == []
    assert list_ids(client, "?kind=quote") == [quote.pk]
    assert list_ids(client, "?replyable=false") == [quote.pk]
    for author in ("7002", "@omar", "OMAR"):
        assert list_ids(client, f"?author={author}") == [other.pk]
    assert list_ids(client, "?author=oma.") == []
    assert list_ids(client, "?since=2026-03-01T09:03:00Z") == [other.pk, quote.pk]
    assert list_ids(client, "?until=2026-03-01T09:02:00Z") == [plain.pk]
    # As a browser's form sends the fields nobody filled in.
    blank = "?status=&kind=&author=&since=&until=&account_id=&skip=0&limit=100"
    assert len(list_ids(client, blank)) == 4


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (f"limit={MAX_LIMIT + 1}", "limit"),
        ("limit=ten", "limit"),
        ("skip=-1", "skip"),
        (f"skip={10**30}", "skip"),
        ("kind=shout", "kind"),
        ("since=yesterday", "since"),
        ("replyable=perhaps", "replyable"),
    ],
)
def test_400_names_the_parameter_when_it_cannot_be_used(
    bruno: User, client_of: Client, query: str, field: str
) -> None:
    answer = client_of(bruno).get(f"/api/v1/messages/?{query}")
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_imported_status_is_found_by_its_very_spelling(
    bruno: User, acme: TwitterAccount, client_of: Client
) -> None:
    odd = store_message(acme, 1, status="pending ")
    store_message(acme, 2, status="pending")
    assert list_ids(client_of(bruno), "?status=pending%20") == [odd.pk]


def test_sentence_tells_how_an_offset_is_written_when_its_plus_became_a_blank(
    bruno: User, client_of: Client
) -> None:
    answer = client_of(bruno).get("/api/v1/messages/?since=2026-03-01T09:00:00+01:00")
    assert "written %2B" in answer.content.decode()


def test_link_names_the_next_page_when_there_may_be_more(
    bruno: User, acme: TwitterAccount, client_of: Client
) -> None:
    for number in range(3):
        store_message(acme, number)
    client = client_of(bruno)
    first = client.get("/api/v1/messages/?limit=2&status=pending")
    address = first["Link"].partition(";")[0].strip("<>")
    second = client.get(address)
    assert len(second.json()) == 1
    assert 'rel="next"' not in second["Link"]
    assert client.get("/api/v1/messages/?limit=0").json() == []


def test_304_is_answered_when_the_caller_has_this_version(
    bruno: User, acme: TwitterAccount, client_of: Client
) -> None:
    message = store_message(acme, 1)
    client, path = client_of(bruno), f"/api/v1/messages/{message.pk}"
    etag = client.get(path)["ETag"]
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 304
    Message.objects.filter(pk=message.pk).update(version=2)
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 200


def test_page_for_people_is_never_said_to_be_known(
    bruno: User, acme: TwitterAccount, client_of: Client
) -> None:
    """A browser would show another form of it, or what somebody else was shown."""
    message = store_message(acme, 1)
    client, path = client_of(bruno), f"/api/v1/messages/{message.pk}"
    etag = client.get(path)["ETag"]
    for known in ({}, {"If-None-Match": etag}, {"If-None-Match": "*"}):
        page = client.get(path, headers={"Accept": "text/html", **known})
        assert page.status_code == 200
        assert page["Content-Type"].startswith("text/html")
        assert "ETag" not in page


def test_tag_changes_and_still_matches_when_autores_itself_notes_something(
    bruno: User, acme: TwitterAccount, client_of: Client
) -> None:
    message = store_message(acme, 1)
    client, path = client_of(bruno), f"/api/v1/messages/{message.pk}"
    etag = client.get(path)["ETag"]
    Message.objects.filter(pk=message.pk).update(draft_state="drafting")
    again = client.get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.json()["draft_state"]) == (200, "drafting")
    changed = client.patch(path, {"credits_used": 2}, headers={"If-Match": etag})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    known = client.get(path, headers={"If-None-Match": changed["ETag"]})
    assert known.status_code == 304


def test_counts_are_by_status_when_stats_are_asked_for(
    bruno: User, acme: TwitterAccount, client_of: Client
) -> None:
    for number, status in enumerate(("pending", "pending", "replied")):
        store_message(acme, number, status=status)
    expected = {"total": 3, "by_status": {"pending": 2, "replied": 1}}
    assert client_of(bruno).get("/api/v1/messages/stats").json() == expected


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OperationalError("ServerSelectionTimeoutError"), "database_unavailable"),
        (CommitUnknownError("not confirmed"), "database_unavailable"),
        (TransactionConflictError("every attempt"), "too_much_contention"),
    ],
)
def test_503_says_when_to_come_back_when_the_database_fails(error: Exception, code: str) -> None:
    answer = handle_exception(error, {})
    assert answer is not None
    assert (answer.status_code, answer.data["code"]) == (503, code)
    assert int(answer["Retry-After"]) > 0


def test_message_is_served_when_a_stored_document_lacks_newer_fields(
    bruno: User, acme: TwitterAccount, client_of: Client
) -> None:
    message = store_message(acme, 1)
    documents = connection.get_collection(Message._meta.db_table)
    documents.update_one({"_id": message.pk}, {"$unset": {"lang": 1, "version": 1, "kind": 1}})
    body = client_of(bruno).get(f"/api/v1/messages/{message.pk}").json()
    assert (body["lang"], body["version"], body["kind"]) == ("", 1, "")


def test_304_is_answered_when_the_caller_has_this_page(
    bruno: User, acme: TwitterAccount, client_of: Client
) -> None:
    message = store_message(acme, 1)
    client, path = client_of(bruno), "/api/v1/messages/?status=pending"
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    Message.objects.filter(pk=message.pk).update(claimed_by="ana")
    changed = client.get(path, headers={"If-None-Match": first["ETag"]})
    assert changed.status_code == 200
    assert changed.json()[0]["claimed_by"] == "ana"
    assert "ETag" not in client.get(path, headers={"Accept": "text/html"})


def test_list_is_compressed_and_its_tag_still_compared_when_gzip_is_taken(
    bruno: User, acme: TwitterAccount, client_of: Client
) -> None:
    for number in range(8):
        store_message(acme, number)
    client, path = client_of(bruno), "/api/v1/messages/"
    plain = client.get(path)
    packed = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert packed["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.content) == plain.content
    assert packed["ETag"] == plain["ETag"]
    again = {"Accept-Encoding": "gzip", "If-None-Match": packed["ETag"]}
    assert client.get(path, headers=again).status_code == 304
