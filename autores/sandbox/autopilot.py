"""Mentions that arrive by themselves, for every connected account, while it is switched on."""

from __future__ import annotations

import random
import threading

from autores.sandbox.mentions import MentionOrder
from autores.sandbox.world import World

# How often each kind comes, out of a hundred.
_KINDS = (("direct", 76), ("reply", 10), ("quote", 6), ("implicit", 5), ("repost", 3))


class Autopilot:
    def __init__(self, world: World) -> None:
        self._world = world
        self._random = random.Random()  # noqa: S311 - picks kinds of sample mentions
        self._thread = threading.Thread(target=self._run, name="sandbox-autopilot", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join(timeout=5)

    def _run(self) -> None:
        # Who switches it on sees at once that it works: the first mention does not wait.
        waited = float("inf")
        while not self._world.stopping.wait(0.25):
            setting = self._world.store.settings["autopilot"]
            if not setting.get("enabled"):
                waited = float("inf")
                continue
            waited += 0.25
            if waited >= float(setting.get("every_seconds", 20)):
                waited = 0.0 if self.send_one() else float("inf")

    def send_one(self) -> bool:
        """One mention for one connected account, picked by chance; False while there is none."""
        accounts = self._world.oauth.connected_users()
        if not accounts:
            return False
        names = [name for name, _ in _KINDS]
        kind = self._random.choices(names, weights=[weight for _, weight in _KINDS])[0]
        self._world.mentions.arrive(MentionOrder(self._random.choice(accounts), kind=kind))
        return True
