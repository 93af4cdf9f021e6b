"""Sessions in Redis, so that any server continues any session and a restart loses nothing."""

from typing import Any

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from elman.errors import StorageError, UsageError
from elman.server.record import Fields, Record
from elman.storage import shown

PREFIX = "elman:session:"
SECONDS = 2.0  # an answer may take

# Each runs as a whole: nobody comes in between.
TAKE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('HGETALL', KEYS[1])
"""
SAVE = """
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner and owner ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], unpack(ARGV, 3))
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""
REMOVE = """
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class RedisStore:
    """Hashes ``elman:session:ID`` that expire ``idle`` seconds after the last change."""

    def __init__(self, url: str, idle: int) -> None:
        try:
            self._redis = Redis.from_url(
                url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS, max_connections=64
            )
        except ValueError as error:
            raise UsageError(
                "serve", f"--state must be an address of Redis: {shown(error)}"
            ) from None
        self._idle = idle
        self._take = self._redis.register_script(TAKE)
        self._save = self._redis.register_script(SAVE)
        self._remove = self._redis.register_script(REMOVE)

    async def take(self, session: str, owner: str) -> Record | None:
        """Make ``owner`` the owner and return the record; None where there is none."""
        found = await self._run(self._take, session, [owner, self._idle])
        if not found:
            return None
        fields: Fields = dict(zip(found[::2], found[1::2], strict=True))
        return Record.from_fields(fields)

    async def save(self, session: str, owner: str, record: Record) -> bool:
        """Keep the record, all of it or nothing; False if somebody else has taken the session."""
        pairs = [part for pair in record.fields().items() for part in pair]
        return bool(await self._run(self._save, session, [owner, self._idle, *pairs]))

    async def remove(self, session: str, owner: str) -> None:
        """Forget the session, unless somebody else has taken it."""
        await self._run(self._remove, session, [owner])

    async def ready(self) -> bool:
        """Whether Redis answers."""
        try:
            return bool(await self._redis.ping())
        except (RedisError, OSError):
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _run(self, script: AsyncScript, session: str, arguments: list[Any]) -> Any:
        try:
            return await script(keys=[PREFIX + session], args=arguments)
        except (RedisError, OSError) as error:
            kind = type(error).__name__
            raise StorageError("session", f"Redis must answer, found {kind}; try again") from None
