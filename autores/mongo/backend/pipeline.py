"""Index-ordered lists: where a SELECT's $sort, $skip and $limit stand in its pipeline.
 django-mongodb-backend 5.2.4 writes ``$lookup*, $match, $project / $addFields, $sort, $skip,
$limit``. MongoDB reads a sort from an index only if $sort follows $match directly, so every list of
the stock backend loads and sorts the whole collection, after joining all of it. The rewrite below
is applied only where it provably yields the same rows; anything else keeps the backend's own
pipeline.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import ForeignKey
from django.db.models.expressions import Col
from django.db.models.sql.constants import LOUTER
from django.db.models.sql.datastructures import Join
from django_mongodb_backend.query import MongoQuery as StockMongoQuery

Stage = dict[str, Any]


def mentions_any(mql: Any, names: Iterable[str]) -> bool:
    """Whether any name occurs as a part of a path in ``mql``; says yes when in doubt."""
    wanted = frozenset(names)
    if isinstance(mql, Mapping):
        return any(mentions_any(k, wanted) or mentions_any(v, wanted) for k, v in mql.items())
    if isinstance(mql, list | tuple | set | frozenset):
        return any(mentions_any(value, wanted) for value in mql)
    return isinstance(mql, str) and not wanted.isdisjoint(re.split(r"[.$]", mql))


class MongoQuery(StockMongoQuery):
    """The backend's query, with its pipeline in the order that lets MongoDB use an index."""

    def get_pipeline(self) -> list[Stage]:
        if not self._is_plain_select() or not self._is_ordered_by_stored_columns():
            return super().get_pipeline()
        aliases = self._joined_aliases()
        # A join writes its rows under its alias: a column of that name would be sorted after the
        # join.
        if mentions_any(list(self.ordering), aliases):
            return super().get_pipeline()
        match: list[Stage] = [{"$match": self.match_mql}] if self.match_mql else []
        sort: list[Stage] = [{"$sort": self.ordering}] if self.ordering else []
        project: list[Stage] = [{"$project": self.project_fields}] if self.project_fields else []
        joins: list[Stage] = list(self.lookup_pipeline or ())
        if not joins:
            return match + sort + self._slice() + project
        if mentions_any(self.match_mql, aliases):
            # Joins keep the order of their input, and so does a filter: sorting first yields the
            # same rows, and the joins stop with the limit. The server moves what it can of $match
            # forward.
            return sort + joins + match + self._slice() + project
        if all(self._keeps_every_row(alias) for alias in aliases):
            return match + sort + self._slice() + joins + project
        # An inner join drops rows whose key dangles, hence the slice can only follow it.
        return match + sort + joins + self._slice() + project

    def _is_plain_select(self) -> bool:
        return not (
            self.search_pipeline
            or self.subqueries
            or self.aggregation_pipeline
            or self.combinator_pipeline
            or self.subquery_lookup
            or self.query.distinct
            or self.query.combinator
        )

    def _is_ordered_by_stored_columns(self) -> bool:
        """Whether each sort key holds the same value before as after $project and $addFields."""
        columns = set()
        for order in self.compiler.order_by_objs or ():
            column = order.expression
            if not isinstance(column, Col) or column.alias != self.compiler.collection_name:
                return False
            columns.add(column.target.column)
        if columns != set(self.ordering):
            return False  # an extra key, as NULLS LAST adds one
        # What is left of $addFields then only sets each sort key to itself.
        if any(
            value != f"${key}" or key not in columns
            for key, value in (self.extra_fields or {}).items()
        ):
            return False
        return not self.project_fields or all(self.project_fields.get(key) == 1 for key in columns)

    def _slice(self) -> list[Stage]:
        low, high = self.query.low_mark, self.query.high_mark
        stages: list[Stage] = [{"$skip": low}] if low else []
        return stages if high is None else [*stages, {"$limit": high - low}]

    def _joined_aliases(self) -> list[str]:
        return [
            alias
            for alias in self.query.alias_map
            if self.query.alias_refcount.get(alias) and alias != self.compiler.collection_name
        ]

    def _keeps_every_row(self, alias: str) -> bool:
        """Whether the join yields one row per row: outer, and on the other side's ``_id``."""
        join = self.query.alias_map[alias]
        if not isinstance(join, Join) or join.join_type != LOUTER:
            return False
        return any(
            isinstance(lhs, ForeignKey) and rhs.column == "_id" for lhs, rhs in join.join_fields
        )
