"""fetch-new: polls accounts while the caller waits. One account's failure stops no other."""

import time
from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from accounts.api.problems import problem_for
from accounts.errors import CallRefusedError
from accounts.models import TwitterAccount
from autores.x.errors import XError
from mentions.api.queries import list_messages_by_id
from mentions.api.serializers import MAX_LIMIT, message_json
from mentions.ingest.poll import poll_account

# Proxies cut a request after 30 or 60 seconds; beat polls what is left out.
_LONGEST_SECONDS = 25.0


def fetch_one(account: TwitterAccount) -> dict[str, Any]:
    """Poll one account. Raises ApiProblem with X's code when that fails."""
    try:
        result = poll_account(account, now=timezone.now())
    except (XError, CallRefusedError) as error:
        raise problem_for(error) from error
    return _answer(result.new_message_ids, [])


def fetch_all(accounts: Iterable[TwitterAccount]) -> dict[str, Any]:
    """Poll each; failures are listed. A lone account's is a problem, as in ``fetch_one``."""
    accounts = list(accounts)
    if len(accounts) == 1:
        return fetch_one(accounts[0])
    new_ids: list[str] = []
    failures: list[dict[str, str]] = []
    started = time.monotonic()
    for account in accounts:
        if time.monotonic() - started > _LONGEST_SECONDS:
            code, detail = "not_polled", "Time was up: this account is polled by the next beat."
        else:
            try:
                new_ids.extend(poll_account(account, now=timezone.now()).new_message_ids)
            except (XError, CallRefusedError) as error:
                code, detail = error.code, error.sentence
            else:
                continue
        failures.append({"account_id": account.pk, "code": code, "detail": detail})
    return _answer(new_ids, failures)


def _answer(new_ids: Iterable[str], failures: list[dict[str, str]]) -> dict[str, Any]:
    ids = list(new_ids)
    documents = list_messages_by_id(ids, limit=MAX_LIMIT)
    sentence = f"{len(ids)} new message{'' if len(ids) == 1 else 's'}."
    if failures:
        sentence += f" {len(failures)} account{'' if len(failures) == 1 else 's'} not read."
    return {
        "message": sentence,
        "new_messages_count": len(ids),
        "messages": [message_json(document) for document in documents],
        "errors": failures,
    }
