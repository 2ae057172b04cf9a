"""The former system at work: a thread that changes its tables without a pause."""

import threading
import time
from datetime import datetime

from mentions.legacy.driver import Connection


class Writer(threading.Thread):
    """Changes about 200 rows a second, in transactions of one to forty, some rolled back."""

    def __init__(self, legacy, *, chance):
        super().__init__(daemon=True)
        self.rows = 0
        self._chance = chance
        self._ends = threading.Event()
        self._failure = None
        self._next = 1_700_000_000_000_000_000
        self._connection = Connection(
            host=legacy.host,
            port=legacy.port,
            user="root",
            database=legacy.name,
            charset="utf8mb4",
            autocommit=False,
        )
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT id FROM messages")
            self._keys = [key for (key,) in cursor.fetchall()]
        self._connection.commit()

    def stop(self):
        self._ends.set()
        if self.is_alive():
            self.join()
        if self._failure is not None:
            raise self._failure

    def run(self):
        began = time.monotonic()
        try:
            while not self._ends.is_set():
                self._write(self._chance.choice((1, 2, 5, 40)))
                ahead = self.rows / 200 - (time.monotonic() - began)
                if ahead > 0:
                    self._ends.wait(ahead)
            self._connection.close()
        except Exception as error:
            self._failure = error

    def _write(self, count):
        keys = list(self._keys)
        with self._connection.cursor() as cursor:
            for _ in range(count):
                self._change(cursor, keys)
        if self._chance.random() < 0.05:
            self._connection.rollback()
        else:
            self._connection.commit()
            self._keys = keys
        self.rows += count

    def _change(self, cursor, keys):
        chance = self._chance
        kind = chance.choices(
            ("insert", "update", "delete", "rename", "again", "token", "flow"),
            (40, 30, 15, 5, 5, 5, 5),
        )[0]
        place = chance.randrange(len(keys))
        if kind == "insert":
            self._next += chance.randrange(1, 1000)
            self._insert(cursor, str(self._next))
            keys.append(str(self._next))
        elif kind == "update":
            cursor.execute(
                "UPDATE messages SET status = %s, public_response = %s, dm_response = %s, "
                "credits_used = %s, redirected = %s, updated_at = %s WHERE id = %s",
                (
                    chance.choice(("pending", "replied", "error", "odd")),
                    self._make_text(),
                    chance.choice((None, "", self._make_text())),
                    chance.choice((None, -3, 0, 7)),
                    chance.choice((None, 0, 1)),
                    chance.choice((None, datetime(2025, 1, 1, 0, 0, chance.randrange(60)))),
                    keys[place],
                ),
            )
        elif kind == "delete":
            cursor.execute("DELETE FROM messages WHERE id = %s", (keys.pop(place),))
        elif kind == "rename":
            self._next += 1
            cursor.execute(
                "UPDATE messages SET id = %s WHERE id = %s", (str(self._next), keys[place])
            )
            keys[place] = str(self._next)
        elif kind == "again":
            cursor.execute("DELETE FROM messages WHERE id = %s", (keys[place],))
            self._insert(cursor, keys[place])
        elif kind == "flow":
            cursor.execute(
                "DELETE FROM oauth_states WHERE state = %s", (f"flow-{chance.randrange(20)}",)
            )
            cursor.execute(
                "REPLACE INTO oauth_states VALUES (%s, %s, UTC_TIMESTAMP())",
                (f"flow-{chance.randrange(20)}", self._make_text()),
            )
        else:
            cursor.execute(
                "UPDATE users SET access_token = %s WHERE id = 'account-2'",
                (self._make_text(),),
            )

    def _insert(self, cursor, key):
        cursor.execute(
            "INSERT INTO messages (id, timestamp, user, text) VALUES (%s, %s, %s, %s)",
            (
                key,
                datetime(2025, 3, 4, 5, 6, self._chance.randrange(60)),
                "2002",
                self._make_text(),
            ),
        )

    def _make_text(self):
        letters = "abcäöü\n\t\\'\"%🙏👩‍🚀é€ "
        return "".join(self._chance.choices(letters, k=self._chance.randrange(1, 60)))
