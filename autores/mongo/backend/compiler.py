"""Compilers of the backend, with index-ordered pipelines and errors that say what failed."""

from collections.abc import Iterator
from typing import Any

from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE, MULTI
from django_mongodb_backend import compiler as stock

from .errors import described_errors
from .pipeline import MongoQuery


class SQLCompiler(stock.SQLCompiler):
    query_class = MongoQuery

    def execute_sql(
        self,
        result_type: str = MULTI,
        chunked_fetch: bool = False,
        chunk_size: int = GET_ITERATOR_CHUNK_SIZE,
    ) -> Any:
        with described_errors(self._described_collection()):
            return super().execute_sql(
                result_type, chunked_fetch=chunked_fetch, chunk_size=chunk_size
            )

    def cursor_iter(self, cursor: Any, chunk_size: int, columns: Any) -> Iterator[Any]:
        with described_errors(self._described_collection()):
            yield from super().cursor_iter(cursor, chunk_size, columns)

    def _described_collection(self) -> str:
        # Not self.collection_name: reading it early has side effects on queries without a table.
        meta = self.query.get_meta()
        return meta.db_table if meta else "?"


class SQLInsertCompiler(stock.SQLInsertCompiler, SQLCompiler):
    def insert(self, docs: list[dict[str, Any]], returning_fields: Any = None) -> Any:
        with described_errors(self.collection_name):
            return super().insert(docs, returning_fields=returning_fields)


class SQLDeleteCompiler(stock.SQLDeleteCompiler, SQLCompiler):
    # Two bases that differ in their types.
    def execute_sql(self, result_type: str = MULTI) -> Any:  # type: ignore[override]
        with described_errors(self._described_collection()):
            return super().execute_sql(result_type)


class SQLUpdateCompiler(stock.SQLUpdateCompiler, SQLCompiler):
    def execute_sql(self, result_type: str) -> Any:  # type: ignore[override]  # likewise
        with described_errors(self._described_collection()):
            return super().execute_sql(result_type)


class SQLAggregateCompiler(stock.SQLAggregateCompiler, SQLCompiler):
    pass
