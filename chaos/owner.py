"""The accounts' owners: who was signed out connects the account again, a little later."""

import contextlib
import threading

import requests

from autores.sandbox.control import SandboxControl, SandboxControlError
from chaos.api import ApiClient
from chaos.ledger import Ledger


class Owner:
    def __init__(self, web_url: str, sandbox_url: str, *, ledger: Ledger) -> None:
        self._web_url, self._sandbox_url, self._ledger = web_url, sandbox_url, ledger
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="owner", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        api, x = ApiClient(self._web_url), SandboxControl(self._sandbox_url)
        while not self._stopping.wait(4):
            # Whatever is away just now is tried again with the next look.
            with contextlib.suppress(requests.RequestException, SandboxControlError, KeyError):
                for account in api.list_accounts():
                    if account["status"] == "token_expired":
                        api.connect_account(account["twitter_username"], on=x)
                        self._ledger.inject("accounts connected again")
