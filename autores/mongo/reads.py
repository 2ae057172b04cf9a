"""Reads below the ORM, for lists where building model instances costs more than the query."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any, NamedTuple

from bson.codec_options import CodecOptions
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model

from autores.mongo.backend.errors import described_errors

AWARE_UTC: CodecOptions = CodecOptions(tz_aware=True, tzinfo=UTC)

Sort = Mapping[str, int] | Sequence[tuple[str, int]]


def collection_name(source: type[Model] | str) -> str:
    return source if isinstance(source, str) else source._meta.db_table


def build_find(
    source: type[Model] | str,
    *,
    filter: Mapping[str, Any] | None = None,
    sort: Sort = (),
    skip: int = 0,
    limit: int,
    projection: Mapping[str, Any] | None = None,
    hint: str | Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The ``find`` command that ``find_page`` runs and ``autores.mongo.plans`` explains.

    Raises:
        ValueError: ``limit`` is not positive, or ``skip`` is negative.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}.")
    if skip < 0:
        raise ValueError(f"skip must not be negative, got {skip}.")
    command: dict[str, Any] = {"find": collection_name(source), "filter": dict(filter or {})}
    if sort:
        command["sort"] = dict(sort)
    if projection:
        command["projection"] = dict(projection)
    if skip:
        command["skip"] = skip
    if hint:
        command["hint"] = hint if isinstance(hint, str) else dict(hint)
    # One more than the limit lets the server close the cursor in its first answer.
    return {**command, "limit": limit, "batchSize": limit + 1}


def find_page(
    source: type[Model] | str,
    *,
    filter: Mapping[str, Any] | None = None,
    sort: Sort = (),
    skip: int = 0,
    limit: int,
    projection: Mapping[str, Any] | None = None,
    hint: str | Mapping[str, int] | None = None,
    using: str = DEFAULT_DB_ALIAS,
    codec_options: CodecOptions = AWARE_UTC,
) -> list[Any]:
    """One page of documents as they are stored, in one round trip, within the running transaction
    if any.

    Args:
        source: model or collection name.
        filter: in MongoDB's terms: column names (``_id``), values as stored (naive UTC or aware
            datetimes).
        sort: column to 1 or -1, in order.
        hint: name or keys of the index to use.
        codec_options: what the documents become; by default dicts with aware UTC datetimes.

    Raises:
        ValueError: ``limit`` is not positive, or ``skip`` is negative.
        OperationalError: no server answered.
        DatabaseError: the server refused the query.
    """
    command = build_find(
        source, filter=filter, sort=sort, skip=skip, limit=limit, projection=projection, hint=hint
    )
    return _read_all(command["find"], command, codec_options=codec_options, using=using)


class Part(NamedTuple):
    """What ``find_in_turn`` reads of one collection, in MongoDB's terms; all of each document
    without a projection, which takes MongoDB longer than to send what is small.
    """

    source: type[Model] | str
    filter: Mapping[str, Any]
    projection: Mapping[str, Any] | None = None


def find_in_turn(first: Part, *others: Part, using: str = DEFAULT_DB_ALIAS) -> list[dict[str, Any]]:
    """Documents of several collections in one round trip; within the running transaction, if any,
    in one for each, as MongoDB joins no collections there.

    The parts are read one after the other: what was moved from the collection of one to that of a
    later one while this ran is found at least once.

    Raises:
        OperationalError: no server answered.
        DatabaseError: the server refused the query.
    """
    if others and connections[using].session is not None:
        rest = (row for part in others for row in find_in_turn(part, using=using))
        return [*find_in_turn(first, using=using), *rest]
    pipeline: list[dict[str, Any]] = _stages_of(first)
    pipeline += [
        {"$unionWith": {"coll": collection_name(part.source), "pipeline": _stages_of(part)}}
        for part in others
    ]
    name = collection_name(first.source)
    command = {"aggregate": name, "pipeline": pipeline, "cursor": {}}
    return _read_all(name, command, codec_options=AWARE_UTC, using=using)


def _stages_of(part: Part) -> list[dict[str, Any]]:
    stages: list[dict[str, Any]] = [{"$match": dict(part.filter)}]
    if part.projection:
        stages.append({"$project": dict(part.projection)})
    return stages


def _read_all(
    name: str, command: Mapping[str, Any], *, codec_options: CodecOptions, using: str
) -> list[Any]:
    read = connections[using].read_command
    with described_errors(name):
        cursor = read(command, codec_options=codec_options)["cursor"]
        documents = list(cursor["firstBatch"])
        # An answer holds 16 MB at most: a page of larger documents comes in several.
        while cursor["id"]:
            more = {"getMore": cursor["id"], "collection": name}
            cursor = read(more, codec_options=codec_options)["cursor"]
            documents.extend(cursor["nextBatch"])
    return documents


def explain_find(
    source: type[Model] | str, *, using: str = DEFAULT_DB_ALIAS, **query: Any
) -> dict[str, Any]:
    """MongoDB's explanation (executionStats) of ``find_page(source, **query)``."""
    command = build_find(source, **query)
    with described_errors(command["find"]):
        return dict(
            connections[using].database.command({"explain": command, "verbosity": "executionStats"})
        )
