"""How MongoDB runs a query: whether by an index, whether it has to sort, and how much it reads.

assert_index_scan(Message.objects.filter(status="pending").order_by("-created_at")[:50])

with recorded_plans() as plans:      # everything the block asks of the database, writes included
    client.get("/api/v1/messages")
assert all(plan.is_index_scan for plan in plans)
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bson import json_util
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import QuerySet
from pymongo import UpdateMany, UpdateOne
from pymongo.collection import Collection

_INDEX_STAGES = frozenset(
    {
        "IXSCAN",
        "IDHACK",
        "EXPRESS_IXSCAN",
        "EXPRESS_IDHACK",
        "COUNT_SCAN",
        "DISTINCT_SCAN",
        "TEXT_MATCH",
    }
)
_SCAN_STAGES = frozenset({"COLLSCAN"})
_SCANNING_JOINS = frozenset({"NestedLoopJoin", "HashJoin"})
_SORT_STAGES = frozenset({"SORT", "$sort", "sort"})
# The commands that are given to the database itself, and can be explained.
_EXPLAINED = ("find", "aggregate", "update")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A query's winning plan, with what its execution read.

    ``stages`` are the server's names from the outermost in, pipeline stages with their ``$``.
    """

    stages: tuple[str, ...]
    indexes: tuple[str, ...]
    keys_examined: int
    docs_examined: int
    returned: int
    collection_scans: int = 0
    description: str = field(default="", repr=False)

    @property
    def is_index_scan(self) -> bool:
        """Whether an index finds the documents, and no join reads a whole collection either."""
        return (
            any(stage in _INDEX_STAGES for stage in self.stages)
            and not any(stage in _SCAN_STAGES for stage in self.stages)
            and not self.collection_scans
        )

    @property
    def has_sort(self) -> bool:
        """Whether documents are sorted in memory, the order not coming from an index."""
        return any(stage in _SORT_STAGES for stage in self.stages)


def parse_plan(explanation: Mapping[str, Any], *, description: str = "") -> Plan:
    """The plan in an answer of MongoDB's ``explain`` command (verbosity executionStats)."""
    stages: list[str] = []
    indexes: list[str] = []
    keys = docs = scans = 0
    returned: int | None = None
    # A find, or a pipeline that the query engine took over as a whole, has no list of stages.
    is_pipeline = "stages" in explanation
    for part in explanation["stages"] if is_pipeline else [explanation]:
        inner = part.get("$cursor", part)
        names = (key for key in part if key.startswith("$") and key != "$cursor")
        name = next(names, None) if is_pipeline else None
        if name is not None:
            stages.append(name)
            # A join reports what it read next to itself.
            keys += int(part.get("totalKeysExamined", 0))
            docs += int(part.get("totalDocsExamined", 0))
            scans += int(part.get("collectionScans", 0))
            indexes.extend(part.get("indexesUsed", ()))
        if planner := inner.get("queryPlanner"):
            _collect(_winning_plan(planner), stages, indexes)
        if statistics := inner.get("executionStats"):
            keys += int(statistics.get("totalKeysExamined", 0))
            docs += int(statistics.get("totalDocsExamined", 0))
            returned = int(statistics.get("nReturned", 0))
        if name is not None and "nReturned" in part:
            returned = int(part["nReturned"])
    return Plan(
        stages=tuple(stages),
        indexes=tuple(dict.fromkeys(indexes)),
        keys_examined=keys,
        docs_examined=docs,
        returned=returned or 0,
        collection_scans=scans,
        description=description,
    )


def _winning_plan(planner: Mapping[str, Any]) -> Mapping[str, Any]:
    plan: Mapping[str, Any] = planner["winningPlan"]
    # The slot-based engine shows the classic tree under queryPlan.
    return plan.get("queryPlan", plan)


def _collect(node: Mapping[str, Any], stages: list[str], indexes: list[str]) -> None:
    if isinstance(name := node.get("stage"), str):
        stages.append(name)
    if isinstance(index := node.get("indexName"), str):
        indexes.append(index)
    # A $lookup run by the slot-based engine tells a scan of the other side by this alone.
    if node.get("strategy") in _SCANNING_JOINS:
        stages.append("COLLSCAN")
    for child in node.values():
        if isinstance(child, Mapping):
            _collect(child, stages, indexes)
        elif isinstance(child, list):
            for item in child:
                if isinstance(item, Mapping):
                    _collect(item, stages, indexes)


def plan_of(query: QuerySet | Mapping[str, Any], *, using: str = DEFAULT_DB_ALIAS) -> Plan:
    """The plan of a queryset, or of a MongoDB command as a dict (find, aggregate, count, update,
    delete).

    The query runs, apart from the writes of a command that writes.
    """
    if isinstance(query, QuerySet):
        explanation = json_util.loads(query.explain(verbosity="executionStats"))
        description = f"{query.model._meta.label}: {query.query!r}"
    else:
        command = {"explain": dict(query), "verbosity": "executionStats"}
        explanation = connections[using].database.command(command)
        description = repr(dict(query))
    return parse_plan(explanation, description=description)


def assert_index_scan(
    query: QuerySet | Mapping[str, Any],
    *,
    index: str | None = None,
    docs_at_most: int | None = None,
    is_sort_allowed: bool = False,
    using: str = DEFAULT_DB_ALIAS,
) -> Plan:
    """Fail unless an index finds, and orders, what ``query`` asks for; return its plan.

    Args:
        index: name of the index that has to be used.
        docs_at_most: how many documents may be read.
        is_sort_allowed: accept sorting in memory.

    Raises:
        AssertionError: with the stages, the counts and the query.
    """
    plan = plan_of(query, using=using)
    problem = None
    if not plan.is_index_scan:
        problem = "does not use an index"
    elif plan.has_sort and not is_sort_allowed:
        problem = "sorts in memory"
    elif index is not None and index not in plan.indexes:
        problem = f"does not use the index {index}"
    elif docs_at_most is not None and plan.docs_examined > docs_at_most:
        problem = f"reads more than {docs_at_most} documents"
    if problem:
        raise AssertionError(f"The query {problem}: {plan!r}\n{plan.description}")
    return plan


@contextmanager
def recorded_plans(*, using: str = DEFAULT_DB_ALIAS) -> Iterator[list[Plan]]:
    """Collect the plan of every read, update and delete of the block; filled when the block ends.

    That is the ORM's, those of ``connection.get_collection`` and those of ``find_page`` and
    ``update_once``. They are explained after the block, hence on the data that it left.
    """
    connection = connections[using]
    commands: list[dict[str, Any]] = []
    plans: list[Plan] = []
    database = connection.database

    def get_recording_collection(name: str, **kwargs: Any) -> Any:
        return _RecordingCollection(Collection(database, name, **kwargs), name, commands)

    connection.get_collection = get_recording_collection
    connection.database = _RecordingDatabase(database, commands)
    try:
        yield plans
    finally:
        connection.database = database
        del connection.get_collection
    plans.extend(plan_of(command, using=using) for command in commands)


class _RecordingDatabase:
    """A database that notes the commands given to it, as ``find_page`` and ``update_once`` do."""

    def __init__(self, database: Any, commands: list[dict[str, Any]]) -> None:
        self._database, self._commands = database, commands

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._database, attribute)

    def __getitem__(self, name: str) -> Any:
        return self._database[name]

    def command(self, command: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(command, Mapping) and not command.keys().isdisjoint(_EXPLAINED):
            # Explaining an update makes none, and takes no concern for it.
            self._commands.append({k: v for k, v in command.items() if k != "writeConcern"})
        return self._database.command(command, *args, **kwargs)


class _RecordingCollection:
    """A collection that notes the commands that it is about to run."""

    def __init__(self, collection: Any, name: str, commands: list[dict[str, Any]]) -> None:
        self._collection, self._name, self._commands = collection, name, commands

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._collection, attribute)

    def with_options(self, **options: Any) -> "_RecordingCollection":
        return _RecordingCollection(
            self._collection.with_options(**options), self._name, self._commands
        )

    def aggregate(self, pipeline: list[Any], *args: Any, **kwargs: Any) -> Any:
        self._commands.append({"aggregate": self._name, "pipeline": pipeline, "cursor": {}})
        return self._collection.aggregate(pipeline, *args, **kwargs)

    def find(self, filter: Any = None, *args: Any, **kwargs: Any) -> Any:
        self._commands.append({"find": self._name, "filter": filter or {}, **_find_options(kwargs)})
        return self._collection.find(filter, *args, **kwargs)

    def find_one(self, filter: Any = None, *args: Any, **kwargs: Any) -> Any:
        query = filter if isinstance(filter, Mapping) or filter is None else {"_id": filter}
        self._commands.append(
            {"find": self._name, "filter": query or {}, "limit": 1, **_find_options(kwargs)}
        )
        return self._collection.find_one(filter, *args, **kwargs)

    def _record_update(self, filter: Any, update: Any, *, is_multi: bool) -> None:
        self._commands.append(
            {"update": self._name, "updates": [{"q": filter, "u": update, "multi": is_multi}]}
        )

    def update_one(self, filter: Any, update: Any, *args: Any, **kwargs: Any) -> Any:
        self._record_update(filter, update, is_multi=False)
        return self._collection.update_one(filter, update, *args, **kwargs)

    def update_many(self, filter: Any, update: Any, *args: Any, **kwargs: Any) -> Any:
        self._record_update(filter, update, is_multi=True)
        return self._collection.update_many(filter, update, *args, **kwargs)

    def bulk_write(self, requests: list[Any], *args: Any, **kwargs: Any) -> Any:
        for request in requests:
            # An insert asks for nothing; pymongo names no public way to read the others.
            if isinstance(request, UpdateOne | UpdateMany):
                self._record_update(
                    request._filter, request._doc, is_multi=isinstance(request, UpdateMany)
                )
        return self._collection.bulk_write(requests, *args, **kwargs)

    def find_one_and_update(self, filter: Any, update: Any, *args: Any, **kwargs: Any) -> Any:
        self._record_update(filter, update, is_multi=False)
        return self._collection.find_one_and_update(filter, update, *args, **kwargs)

    def delete_many(self, filter: Any, *args: Any, **kwargs: Any) -> Any:
        self._commands.append({"delete": self._name, "deletes": [{"q": filter, "limit": 0}]})
        return self._collection.delete_many(filter, *args, **kwargs)


def _find_options(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    options = {key: kwargs[key] for key in ("limit", "skip", "projection") if kwargs.get(key)}
    if sort := kwargs.get("sort"):
        options["sort"] = dict(sort)
    return options
