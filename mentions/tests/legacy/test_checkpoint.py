"""Which rows were taken over, as the lists of finished chunks tell."""

import random

import pytest
from django.db import connection
from django.utils import timezone

from mentions.legacy.checkpoint import Checkpoints, forget_keys
from mentions.legacy.contract import MESSAGES, OAUTH_STATES
from mentions.models import ImportChunk


def save_chunk(table, after, keys):
    Checkpoints(table).save(
        after,
        run_id="run",
        checksum="c",
        row_count=len(keys),
        is_clean=True,
        notes={},
        keys=keys,
        now=timezone.now(),
    )


@pytest.mark.parametrize("table", [MESSAGES, OAUTH_STATES])
def test_every_key_is_found_when_the_bounds_of_chunks_overlap(db, table):
    chance = random.Random(table.name)
    keys = [str(chance.randrange(10**6)) for _ in range(600)]
    # In another order than that of bytes, as a collation may have it.
    chance.shuffle(keys)
    for start in range(0, 600, 20):
        save_chunk(table, str(start).encode(), keys[start : start + 20])
    save_chunk(table, b"empty", [])
    strange = {"", "0", "9999999", "a"} - set(keys)
    wanted = chance.sample(keys, 100)

    assert Checkpoints(table).find_taken_over([*wanted, *strange]) == set(wanted)

    forget_keys(table, [*wanted[:50], *strange])
    left = set(keys) - set(wanted[:50])
    assert Checkpoints(table).find_taken_over(keys) == left


def test_only_chunks_that_lost_a_key_are_read_again_when_keys_are_forgotten(db):
    save_chunk(MESSAGES, None, ["1", "2"])
    save_chunk(MESSAGES, b"2", ["3", "4"])
    forget_keys(MESSAGES, ["3", "5"])
    assert Checkpoints(MESSAGES).find(None).is_clean
    assert not Checkpoints(MESSAGES).find(b"2").is_clean


def test_lists_of_keys_stay_unread_when_bounds_are_looked_up(db):
    save_chunk(MESSAGES, None, ["1", "2"])
    plan = (
        connection.get_collection(ImportChunk._meta.db_table)
        .find(
            {"table": "messages", "lowest": {"$lte": "2"}, "highest": {"$gte": "1"}},
            {"_id": 0, "lowest": 1, "highest": 1},
        )
        .sort([("lowest", 1), ("highest", 1)])
    )
    explained = plan.explain()
    assert explained["executionStats"]["totalDocsExamined"] == 0
    assert explained["executionStats"]["nReturned"] == 1
