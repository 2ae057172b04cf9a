"""Who exists in the sandbox."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from autores.sandbox.clock import Clock
from autores.sandbox.store import Store

USERNAME = re.compile(r"[A-Za-z0-9_]{1,15}")
PROFILE_KEYS = (
    "description", "verified", "protected", "suspended", "blocks", "follows", "location",
    "reply_settings",
)  # fmt: skip


class SandboxInputError(ValueError):
    """A control call asked for something the sandbox cannot do; the text says what to change."""


@dataclass(frozen=True)
class User:
    id: int
    username: str
    name: str
    created_ms: int
    receives_your_dm: bool
    profile: dict[str, Any] = field(default_factory=dict)

    @property
    def is_suspended(self) -> bool:
        return bool(self.profile.get("suspended"))

    def blocks(self, user_id: int) -> bool:
        return str(user_id) in self.profile.get("blocks", [])

    def follows(self, user_id: int) -> bool:
        return str(user_id) in self.profile.get("follows", [])


class Users:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def create(
        self,
        username: str,
        *,
        name: str | None = None,
        user_id: str | None = None,
        receives_your_dm: bool = True,
        **profile: Any,
    ) -> User:
        """Create the user, or change the one who has this name. Ids as strings in `profile`."""
        if not isinstance(username, str) or not USERNAME.fullmatch(username):
            raise SandboxInputError(
                f"username {username!r}: use 1 to 15 letters, digits or underscores, without the @"
            )
        unknown = sorted(set(profile) - set(PROFILE_KEYS))
        if unknown:
            raise SandboxInputError(
                f"unknown keys {', '.join(unknown)}: a user has {', '.join(PROFILE_KEYS)}"
            )
        if user_id is not None and not re.fullmatch(r"[0-9]{1,19}", str(user_id)):
            raise SandboxInputError(f"id {user_id!r}: use up to 19 digits")
        with self._store.transaction() as db:
            existing = self.find_by_username(username)
            if existing is not None:
                if user_id is not None and existing.id != int(user_id):
                    raise SandboxInputError(f"@{username} exists with the id {existing.id}")
                merged = {**existing.profile, **profile}
                db.execute(
                    "UPDATE users SET name = ?, receives_your_dm = ?, profile = ? WHERE id = ?",
                    (name or existing.name, receives_your_dm, json.dumps(merged), existing.id),
                )
                return self.require(existing.id)
            new_id = int(user_id) if user_id is not None else self._clock.next_ids()[0]
            if self.find(new_id) is not None:
                raise SandboxInputError(f"the id {new_id} belongs to someone else")
            db.execute(
                "INSERT INTO users VALUES (?, ?, ?, ?, ?, ?)",
                (
                    new_id,
                    username,
                    name or username,
                    self._clock.now_ms(),
                    receives_your_dm,
                    json.dumps(profile),
                ),
            )
        return self.require(new_id)

    def find(self, user_id: int) -> User | None:
        return _user(self._store.one("SELECT * FROM users WHERE id = ?", user_id))

    def find_by_username(self, username: str) -> User | None:
        name = username.lstrip("@")
        return _user(self._store.one("SELECT * FROM users WHERE username = ?", name))

    def find_many(self, ids: set[int]) -> dict[int, User]:
        rows = self._store.all_in("SELECT * FROM users WHERE id IN ({})", ids)
        return {row["id"]: _require(row) for row in rows}

    def find_handle(self, handle: str) -> tuple[int, str] | None:
        user = self.find_by_username(handle)
        return None if user is None else (user.id, user.username)

    def require(self, user_id: int | str) -> User:
        user = self.find(int(user_id)) if str(user_id).isdigit() else None
        if user is None:
            raise SandboxInputError(f"there is no user with the id {user_id}")
        return user

    def require_either(self, *, user_id: Any = None, username: Any = None) -> User:
        """The user named by id or by username, whichever is given."""
        if user_id is not None:
            return self.require(str(user_id))
        if username:
            found = self.find_by_username(str(username))
            if found is not None:
                return found
            raise SandboxInputError(f"there is no user @{username}: create it first")
        raise SandboxInputError("name the user by id or by username")

    def all(self) -> list[User]:
        return [_require(row) for row in self._store.all("SELECT * FROM users ORDER BY id")]


def _user(row: Any) -> User | None:
    return None if row is None else _require(row)


def _require(row: Any) -> User:
    return User(
        id=row["id"],
        username=row["username"],
        name=row["name"],
        created_ms=row["created_ms"],
        receives_your_dm=bool(row["receives_your_dm"]),
        profile=json.loads(row["profile"]),
    )
