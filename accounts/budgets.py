"""How much may still be written to X: for the whole app, and for one account.

X lets an app make so many posts and direct messages in 24 hours, all accounts together, and each
account so many of its own. Two things are metered, both in Redis, both changed by one script:

- **The app's day**: a log of every write of the last 24 hours, one entry each, whatever X's
  headers say. In any 24 hours no more than the limit are let through, so it does not matter
  when X's own day begins.
- **What X's headers report** (window, the user's day, the app's day): ``remaining`` until
  ``reset``, lowered with every write let through, never raised by an older answer.

A write reserves before it leaves, and confirms or gives back afterwards. Redis may lose all of
it, or come back with an old state: the log carries the id of the server's run, and a run without
it, or with another's, makes the next caller fill the log from the rows (``register_history``)
before anything is let through. So whoever reserves must have written his row before: then a
rebuild at any moment counts him, and counting him twice is impossible, as the entry has a name.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from django.conf import settings
from redis import Redis
from redis.commands.core import Script
from redis.exceptions import RedisError

from accounts.errors import BudgetSpentError, BudgetUnavailableError
from autores.x.endpoints import CREATE_POST, GET_USER, SEND_DM, Endpoint
from autores.x.types import RateLimits

logger = logging.getLogger(__name__)

Scope = Literal["app_day", "user_day", "window"]
SCOPES: tuple[Scope, ...] = ("window", "user_day", "app_day")
# A minute more than X's day: clocks differ, and a request takes its time to arrive.
DAY = timedelta(hours=24, minutes=1)
_LONGEST: dict[Scope, timedelta] = {
    "window": timedelta(minutes=16),
    "user_day": DAY,
    "app_day": DAY,
}
# One tag, so that a cluster keeps the keys together: a script may touch one slot only.
_PREFIX = "{autores:budget}"
_EPOCH = f"{_PREFIX}:epoch"
_REBUILD_ATTEMPTS = 5
_REBUILD_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Budget:
    """A kind of write to X. ``setting`` names the app's limit for 24 hours."""

    name: str
    endpoint: Endpoint
    setting: str

    @property
    def limit(self) -> int:
        return int(getattr(settings, self.setting))

    @property
    def _log(self) -> str:
        return f"{_PREFIX}:{self.name}:log"


POSTS = Budget("posts", CREATE_POST, "X_APP_POSTS_PER_DAY")
DMS = Budget("dms", SEND_DM, "X_APP_DMS_PER_DAY")
BUDGETS = (POSTS, DMS)
# Of these the headers are kept: the writes, and the one read that is made on a person's whim.
OBSERVED = frozenset({POSTS.endpoint.name, DMS.endpoint.name, GET_USER.name})


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What is left of one limit; ``remaining`` of ``limit`` (None: X did not say) until then."""

    scope: Scope
    limit: int | None
    remaining: int
    resets_at: datetime | None


@dataclass(frozen=True, slots=True)
class Reservation:
    """A place taken for one write; it counts until it is given back."""

    budget: Budget
    account_id: str
    key: str
    # Reset times (ms) of the reported limits that were lowered, to raise the same ones again.
    resets: tuple[int, ...]

    def confirm(self, *, now: datetime) -> None:
        """The write left, whatever became of it: it counts from now."""
        try:
            _client().zadd(self.budget._log, {self.key: _ms(now)}, xx=True, gt=True)
        except RedisError as error:
            # The entry stands with the time of the reservation, and the day has a margin.
            logger.warning("A write was not confirmed: %s", type(error).__name__)

    def give_back(self) -> None:
        """The write certainly did not reach X, or X did not count it."""
        keys = [self.budget._log, *_reported_keys(self.budget.endpoint.name, self.account_id)]
        try:
            _script(_GIVE_BACK)(keys=keys, args=[self.key, *self.resets])
        except RedisError as error:
            logger.warning("A write was not given back: %s", type(error).__name__)


History = Callable[[str, datetime], Iterable[tuple[str, datetime]]]
_history: list[History] = []


def register_history(source: History) -> None:
    """Say where the log is rebuilt from: (name of a budget, since) to (key, time) of each write.

    It must give every write that has a reservation, under its key; giving more is safe.
    """
    _history[:] = [source]


def reserve(budget: Budget, *, account_id: str, key: str, now: datetime) -> Reservation:
    """Take a place for one write named ``key``; the same key takes one place, however often.

    Raises BudgetSpentError with ``retry_after`` (seconds), or BudgetUnavailableError when Redis
    does not answer: what cannot be counted is not sent.
    """
    keys = [_EPOCH, budget._log, *_reported_keys(budget.endpoint.name, account_id)]
    args = [_ms(now), key, budget.limit, _ms_of(DAY)]
    state, *facts = _run(_RESERVE, keys=keys, args=args, now=now)
    if state == b"ok":
        return Reservation(budget, account_id, key, tuple(int(reset) for reset in facts))
    scope, opens_at = SCOPES[int(facts[0])], _time(int(facts[1]))
    raise BudgetSpentError(
        _SENTENCES[scope].format(what=_WORDS[budget.name], at=f"{opens_at:%Y-%m-%d %H:%M}"),
        code=f"budget_{scope}",
        retry_after=max(1.0, (opens_at - now).total_seconds()),
    )


def observe_rate(endpoint: str, *, account_id: str, rate: RateLimits, now: datetime) -> None:
    """Keep what an answer's headers say of this endpoint. Never raises: it is not the caller's."""
    try:
        for scope, key in zip(SCOPES, _reported_keys(endpoint, account_id), strict=True):
            window = getattr(rate, scope)
            if window is None:
                continue
            reset = min(_ms(window.reset_at), _ms(now + _LONGEST[scope]))
            limit = -1 if window.limit is None else window.limit
            args = [_ms(now), limit, max(window.remaining, 0), reset]
            _script(_OBSERVE)(keys=[key], args=args)
    except RedisError as error:
        logger.warning("X's limits are not kept: %s", type(error).__name__)


def read_budgets(budget: Budget, *, account_id: str, now: datetime) -> list[BudgetState]:
    """What is left of every limit on this kind of write. The app's day is always among them.

    Raises BudgetUnavailableError when Redis does not answer.
    """
    keys = [_EPOCH, budget._log, *_reported_keys(budget.endpoint.name, account_id)]
    args = [_ms(now), budget.limit, _ms_of(DAY)]
    _, used, opens_ms, *reported = _run(_READ, keys=keys, args=args, now=now)
    own = BudgetState(
        "app_day",
        budget.limit,
        max(0, budget.limit - int(used)),
        _time(int(opens_ms)) if int(opens_ms) else None,
    )
    found = []
    for scope, (limit, remaining, reset) in zip(SCOPES, _in_threes(reported), strict=True):
        if reset > _ms(now):
            found.append(
                BudgetState(scope, None if limit < 0 else limit, max(0, remaining), _time(reset))
            )
    if found and found[-1].scope == "app_day" and found[-1].remaining < own.remaining:
        # Another program writes with the same app.
        return found
    return [state for state in found if state.scope != "app_day"] + [own]


# -- Redis --------------------------------------------------------------------------------------

_WORDS = {"posts": "posts", "dms": "direct messages"}
_SENTENCES: dict[Scope, str] = {
    "app_day": "The app's {what} for 24 hours are spent, for all accounts; it will go out after "
    "{at} UTC.",
    "user_day": "This account's {what} for the day are spent; it will go out after {at} UTC.",
    "window": "X's limit for this account's {what} is reached; it will go out after {at} UTC.",
}

# A run id tells a server that kept its memory from one that started anew, with or without data.
_RUN_ID = """
local function run_id()
  local info = redis.pcall('INFO', 'server')
  if type(info) ~= 'string' then return 'unknown' end
  return string.match(info, 'run_id:(%w+)') or 'unknown'
end
"""
_RESERVE = (
    _RUN_ID
    + """
if redis.call('GET', KEYS[1]) ~= run_id() then return {'lost'} end
local now, limit, span = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - span)
local is_known = redis.call('ZSCORE', KEYS[2], ARGV[2])
local others = redis.call('ZCARD', KEYS[2]) - (is_known and 1 or 0)
if others >= limit then
  redis.call('ZREM', KEYS[2], ARGV[2])
  local opens = now + span
  if limit > 0 then
    local rank = others - limit
    opens = tonumber(redis.call('ZRANGE', KEYS[2], rank, rank, 'WITHSCORES')[2]) + span
  end
  return {'spent', 2, string.format('%.0f', opens)}
end
local resets = {}
for i = 3, 5 do
  local seen = redis.call('HMGET', KEYS[i], 'remaining', 'reset')
  resets[i - 2] = '0'
  if seen[2] and tonumber(seen[2]) > now then
    if tonumber(seen[1]) <= 0 and not is_known then return {'spent', i - 3, seen[2]} end
    resets[i - 2] = seen[2]
  end
end
if not is_known then
  for i = 3, 5 do
    if resets[i - 2] ~= '0' then redis.call('HINCRBY', KEYS[i], 'remaining', -1) end
  end
end
redis.call('ZADD', KEYS[2], 'GT', now, ARGV[2])
return {'ok', resets[1], resets[2], resets[3]}
"""
)
_GIVE_BACK = """
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
for i = 2, 4 do
  if ARGV[i] ~= '0' and redis.call('HGET', KEYS[i], 'reset') == ARGV[i] then
    redis.call('HINCRBY', KEYS[i], 'remaining', 1)
  end
end
return 1
"""
_OBSERVE = """
local now, remaining, reset = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4])
if reset <= now then return 0 end
local seen = redis.call('HMGET', KEYS[1], 'remaining', 'reset')
local known = seen[2] and tonumber(seen[2]) or 0
if known > now then
  if known > reset + 2000 then return 0 end
  if known + 2000 >= reset then
    -- The same window: others may have left since X counted, so only the lower number is true.
    remaining = math.min(remaining, tonumber(seen[1]))
    reset = known
  end
end
redis.call('HSET', KEYS[1], 'limit', ARGV[2], 'remaining', remaining,
           'reset', string.format('%.0f', reset))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', reset - now))
return 1
"""
_READ = (
    _RUN_ID
    + """
if redis.call('GET', KEYS[1]) ~= run_id() then return {'lost'} end
local now, limit, span = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local oldest = '(' .. string.format('%.0f', now - span)
local used = redis.call('ZCOUNT', KEYS[2], oldest, '+inf')
local opens = 0
if used > 0 then
  local rank = used > limit and used - limit or 0
  local first = redis.call('ZRANGE', KEYS[2], oldest, '+inf', 'BYSCORE', 'LIMIT', rank, 1,
                           'WITHSCORES')
  if first[2] then opens = tonumber(first[2]) + span end
end
local answer = {'ok', used, string.format('%.0f', opens)}
for i = 3, 5 do
  local seen = redis.call('HMGET', KEYS[i], 'limit', 'remaining', 'reset')
  for j = 1, 3 do answer[#answer + 1] = seen[j] or '0' end
end
return answer
"""
)
# Only while nobody else filled it, and Redis still knows of this rebuild: had it lost its data
# again meanwhile, the rows read before would miss what was let through in between.
_INSTALL = (
    _RUN_ID
    + """
local run = run_id()
if redis.call('GET', KEYS[1]) == run then return 1 end
if redis.call('DEL', KEYS[2]) == 0 then return 0 end
local at = 1
for i = 3, #KEYS do
  redis.call('DEL', KEYS[i])
  for n = 1, tonumber(ARGV[at]) do
    redis.call('ZADD', KEYS[i], ARGV[at + 2 * n - 1], ARGV[at + 2 * n])
  end
  at = at + 1 + 2 * tonumber(ARGV[at])
end
redis.call('SET', KEYS[1], run)
return 1
"""
)


def _run(source: str, *, keys: Sequence[str], args: Sequence[Any], now: datetime) -> list[Any]:
    """Run a script that answers "lost" while the log is not whole; fill the log then."""
    try:
        for _ in range(_REBUILD_ATTEMPTS):
            answer: list[Any] = _script(source)(keys=keys, args=args)
            if answer[0] != b"lost":
                return answer
            _rebuild(now)
    except RedisError as error:
        logger.warning("Budgets cannot be read: %s", type(error).__name__)
        raise BudgetUnavailableError(retry_after=30.0) from error
    raise BudgetUnavailableError(retry_after=30.0)


def _rebuild(now: datetime) -> None:
    mark = f"{_PREFIX}:rebuild:{secrets.token_hex(8)}"
    _client().set(mark, 1, ex=_REBUILD_SECONDS)
    args: list[Any] = []
    counts = []
    for budget in BUDGETS:
        entries = [entry for source in _history for entry in source(budget.name, now - DAY)]
        args.append(len(entries))
        for key, at in entries:
            args += [_ms(at), key]
        counts.append(f"{len(entries)} {budget.name}")
    keys = [_EPOCH, mark, *(budget._log for budget in BUDGETS)]
    if _script(_INSTALL)(keys=keys, args=args):
        logger.warning("The budgets were read from the rows anew: %s", ", ".join(counts))


@lru_cache(maxsize=4)
def _connect(url: str) -> Redis:
    return Redis.from_url(url, socket_connect_timeout=2, socket_timeout=5)


def _client() -> Redis:
    return _connect(settings.REDIS_URL)


@lru_cache(maxsize=16)
def _register(client: Redis, source: str) -> Script:
    return client.register_script(source)


def _script(source: str) -> Script:
    return _register(_client(), source)


def _reported_keys(endpoint: str, account_id: str) -> list[str]:
    """In the order of SCOPES."""
    return [
        f"{_PREFIX}:{endpoint}:window:{account_id}",
        f"{_PREFIX}:{endpoint}:user_day:{account_id}",
        f"{_PREFIX}:{endpoint}:app_day",
    ]


def _in_threes(values: Sequence[Any]) -> list[tuple[int, int, int]]:
    numbers = [int(value) for value in values]
    return list(zip(numbers[0::3], numbers[1::3], numbers[2::3], strict=True))


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _ms_of(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=UTC)
