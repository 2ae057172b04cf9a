"""Direct messages of the old, unencrypted system: send, list, and who may write to whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autores.sandbox import problems
from autores.sandbox.clock import Clock, format_time
from autores.sandbox.reading import decode_token, encode_token
from autores.sandbox.rendering import can_receive_dm
from autores.sandbox.store import Store
from autores.sandbox.users import Users

MAX_TEXT = 10_000
READ_BACK_DAYS = 30


def conversation_id(one: int, other: int) -> str:
    return f"{min(one, other)}-{max(one, other)}"


class DirectMessages:
    def __init__(self, store: Store, clock: Clock, users: Users) -> None:
        self._store = store
        self._clock = clock
        self._users = users

    def send(
        self, sender_id: int, recipient_id: int, *, text: str, vocabulary: str = "post"
    ) -> tuple[str, str]:
        """(conversation id, event id); raises ApiProblem with X's refusal."""
        with self._store.transaction():
            recipient = self._users.find(recipient_id)
            if recipient is None or recipient_id == sender_id:
                raise problems.invalid_request(
                    f"The participant {recipient_id} is not a user you can write to",
                    parameter="participant_id",
                    value=str(recipient_id),
                    vocabulary=vocabulary,
                )
            if len(text) > MAX_TEXT:
                raise problems.invalid_request(
                    f"`text` is longer than {MAX_TEXT} characters",
                    parameter="text",
                    value=text[:50],
                    vocabulary=vocabulary,
                )
            if self._users.require(sender_id).is_suspended:
                raise problems.forbidden(problems.SUSPENDED)
            if not can_receive_dm(self._store, sender_id, recipient):
                raise problems.forbidden(problems.DM_REFUSED)
            return self.store_event(sender_id, recipient_id, text)

    def store_event(self, sender_id: int, recipient_id: int, text: str) -> tuple[str, str]:
        """Write the message whatever the permissions (people write to accounts this way)."""
        with self._store.transaction() as db:
            (event_id,) = self._clock.next_ids()
            conversation = conversation_id(sender_id, recipient_id)
            db.execute(
                "INSERT INTO dm_events VALUES (?, ?, ?, ?, ?, ?)",
                (event_id, conversation, sender_id, recipient_id, text, self._clock.now_ms()),
            )
        return conversation, str(event_id)

    def list_events(
        self,
        viewer_id: int,
        args: Mapping[str, str],
        *,
        participant_id: int | None = None,
        event_id: str | None = None,
        vocabulary: str,
    ) -> dict[str, Any]:
        """A page of events, newest first, of one conversation or of all the viewer is in."""
        limit = args.get("max_results", "100")
        if not limit.isdigit() or not 1 <= int(limit) <= 100:
            raise problems.invalid_request(
                f"The `max_results` query parameter value [{limit}] is not between 1 and 100",
                parameter="max_results",
                value=limit,
                vocabulary=vocabulary,
            )
        below = 1 << 62
        if "pagination_token" in args:
            token = decode_token(args["pagination_token"])
            if token is None:
                raise problems.invalid_request(
                    "The `pagination_token` query parameter is not valid",
                    parameter="pagination_token",
                    value=args["pagination_token"],
                    vocabulary=vocabulary,
                )
            below = token[0]
        oldest = self._clock.now_ms() - READ_BACK_DAYS * 86_400_000
        types = args.get("event_types", "MessageCreate").split(",")
        where, values = "(sender_id = ? OR recipient_id = ?)", [viewer_id, viewer_id]
        if participant_id is not None:
            # SQLite takes texts and numbers alike.
            where, values = "conversation_id = ?", [conversation_id(viewer_id, participant_id)]  # type: ignore[list-item]
        if event_id is not None:
            where, values = f"{where} AND id = ?", [*values, int(event_id)]
        rows = []
        if "MessageCreate" in types:
            rows = self._store.all(
                f"SELECT * FROM dm_events WHERE {where}"  # noqa: S608 - fixed text
                " AND id < ? AND created_ms >= ? ORDER BY id DESC LIMIT ?",
                *values,
                below,
                oldest,
                int(limit) + 1,
            )
        has_more, rows = len(rows) > int(limit), rows[: int(limit)]
        fields = set(args.get("dm_event.fields", "").split(","))
        expansions = set(args.get("expansions", "").split(","))
        answer: dict[str, Any] = {"meta": {"result_count": len(rows)}}
        if rows:
            answer["data"] = [_render(row, fields, expansions) for row in rows]
        if has_more:
            answer["meta"]["next_token"] = encode_token(rows[-1]["id"], towards_newer=False)
        if "sender_id" in expansions and rows:
            users = self._users.find_many({row["sender_id"] for row in rows})
            answer["includes"] = {
                "users": [
                    {"id": str(user.id), "name": user.name, "username": user.username}
                    for user in users.values()
                ]
            }
        return answer


def _render(row: Any, fields: set[str], expansions: set[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": str(row["id"]),
        "text": row["text"],
        "event_type": "MessageCreate",
    }
    if "created_at" in fields:
        shown["created_at"] = format_time(row["created_ms"])
    if "dm_conversation_id" in fields:
        shown["dm_conversation_id"] = row["conversation_id"]
    if "sender_id" in fields | expansions:
        shown["sender_id"] = str(row["sender_id"])
    return shown
