import re
import time
from collections.abc import Mapping
from typing import Any

from bson.codec_options import DEFAULT_CODEC_OPTIONS, CodecOptions
from django.db import DatabaseError
from django.db.backends.utils import debug_transaction
from django.db.transaction import TransactionManagementError  # noqa: TID251 - only the error class
from django_mongodb_backend import base
from pymongo.client_session import ClientSession
from pymongo.errors import AutoReconnect, PyMongoError, ServerSelectionTimeoutError

from autores.mongo.errors import CommitUnknownError

from .errors import translate_error
from .operations import DatabaseOperations
from .schema import DatabaseSchemaEditor

_REGEX_END = r"\z"


def _match_whole(field: str, text: Any) -> dict[str, Any]:
    """``iexact``: the text itself, and no pattern. Upstream leaves it unescaped, so that ``:(``
    fails and ``.*`` finds everything.
    """
    return {field: {"$regex": f"^{re.escape(str(text))}{_REGEX_END}", "$options": "i"}}


_UNKNOWN_COMMIT = "UnknownTransactionCommitResult"
# A new primary is elected within about 12 s; the driver itself waits up to 30 s for it on each
# attempt.
_COMMIT_PAUSES_SECONDS = (0.05, 0.2, 0.8, 2.0)


class DatabaseWrapper(base.DatabaseWrapper):
    """The connection of django-mongodb-backend, with index-ordered pipelines, planner-usable unique
    indexes, errors that have a text, and transactions that end clean when their commit fails."""

    in_atomic_block: bool
    SchemaEditorClass = DatabaseSchemaEditor
    ops_class = DatabaseOperations
    mongo_operators = {**base.DatabaseWrapper.mongo_operators, "iexact": _match_whole}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Set when a nested block failed: its writes cannot be undone alone, so nothing may be
        # committed.
        self.is_rollback_only = False
        self._collections: dict[str, Any] = {}
        self._kept_session: ClientSession | None = None

    def run_command(
        self,
        command: Mapping[str, Any],
        *,
        codec_options: CodecOptions[Any] = DEFAULT_CODEC_OPTIONS,
        session: ClientSession | None = None,
    ) -> Any:
        """The answer to a command, within ``session`` or else ``choose_session()``; sent once.

        Raises PyMongoError.
        """
        session = session or self.choose_session()
        try:
            return self.database.command(command, session=session, codec_options=codec_options)
        except PyMongoError:
            # What it was used for may still go on at the server.
            self._kept_session = None
            raise

    def read_command(
        self,
        command: Mapping[str, Any],
        *,
        codec_options: CodecOptions[Any] = DEFAULT_CODEC_OPTIONS,
        session: ClientSession | None = None,
    ) -> Any:
        """As ``run_command``, of one that only reads: where its answer was lost it is sent again,
        once, as the driver does with its own ``find``. Not in a transaction, which is over then,
        nor with a cursor, which has moved on.
        """
        try:
            return self.run_command(command, codec_options=codec_options, session=session)
        except ServerSelectionTimeoutError:
            raise
        except AutoReconnect:
            if session is not None or self.session is not None or "getMore" in command:
                raise
        return self.run_command(command, codec_options=codec_options)

    def choose_session(self) -> ClientSession:
        """That of the transaction that runs, or one that this thread's single commands share: a new
        one for each, as PyMongo makes it, is a tenth of a small command's time.
        """
        if self.session is not None:
            return self.session
        client = self.database.client
        kept = self._kept_session
        if kept is None or kept.client is not client:
            kept = self._kept_session = client.start_session(causal_consistency=False)
        return kept

    def get_collection(self, name: str, **kwargs: Any) -> Any:
        """Upstream makes one for each query, which takes as long as a tenth of a small one."""
        if kwargs or self.queries_logged:
            return super().get_collection(name, **kwargs)
        kept = self._collections.get(name)
        if kept is None or kept.database is not self.database:
            kept = self._collections[name] = super().get_collection(name)
        return kept

    def start_transaction_mongo(self) -> None:
        self.is_rollback_only = False
        try:
            super().start_transaction_mongo()
        except PyMongoError as error:
            raise self._translated(error) from error

    def commit_mongo(self) -> None:
        if self.session is None:
            super().commit_mongo()
            return
        if self.is_rollback_only:
            self.rollback_mongo()
            raise TransactionManagementError(
                "A block inside this transaction failed and its error was caught; MongoDB cannot "
                "undo a part of a transaction, so all of it was rolled back. Let the error leave "
                "the outermost atomic block."
            )
        self._commit_session(self.session)
        self._end_session()
        super().commit_mongo()  # without a session it only runs the hooks

    def _commit_session(self, session: ClientSession) -> None:
        for pause in (*_COMMIT_PAUSES_SECONDS, None):
            try:
                with debug_transaction(self, "session.commit_transaction()"):
                    session.commit_transaction()
            except PyMongoError as error:
                # The stock code would leave the dead session on the connection.
                if not error.has_error_label(_UNKNOWN_COMMIT):
                    self.rollback_mongo()
                    raise self._translated(error) from error
                if pause is None:
                    self.rollback_mongo()
                    raise CommitUnknownError(
                        "The transaction may or may not have been committed: the server did not "
                        "confirm it. Read the data back before doing it again."
                    ) from error
                time.sleep(pause)
            else:
                return

    def rollback_mongo(self) -> None:
        self.is_rollback_only = False
        try:
            super().rollback_mongo()
        except PyMongoError:
            # The server ends the transaction of a lost session by itself.
            if self.session is not None:
                self._end_session()
            self.run_on_commit: list[Any] = []

    def rollback(self) -> None:
        """Called when a block of Django's own atomic fails, which undoes nothing on MongoDB."""
        if not self.in_atomic_block_mongo:
            super().rollback()
            return
        hooks = self.run_on_commit
        super().rollback()
        self.run_on_commit = hooks
        self.is_rollback_only = True

    def run_and_clear_commit_hooks(self) -> None:
        # Django refuses to run them inside its own atomic, which means nothing here.
        is_in_django_atomic = self.in_atomic_block
        self.in_atomic_block = False
        try:
            super().run_and_clear_commit_hooks()
        finally:
            self.in_atomic_block = is_in_django_atomic

    def _translated(self, error: PyMongoError) -> DatabaseError:
        return translate_error(error, collection="(transaction)") or DatabaseError(str(error))
