"""Connections to PostgreSQL: transactions that answer after their commit, and what their errors mean."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import asyncpg

from cloud_bridge.errors import BadRequest, Unavailable
from cloud_bridge.store.postgres.sealing import opened
from edge_agent.contract.errors import ConfigError, DatabaseAway

log = logging.getLogger(__name__)
T = TypeVar("T")

CONNECTIONS: Final = 10
"""The most of one process, besides the one that listens."""
MAX_WAITING: Final = 512
"""Calls that may wait for a connection; one more is refused, so that agents back off."""
_ATTEMPTS: Final = 4
_CONNECT_S: Final = 5.0
_ACQUIRE_S: Final = 5.0
_COMMAND_S: Final = 20.0
_SETTINGS: Final = {
    "application_name": "cloud-bridge",
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "15s",
    "timezone": "UTC",
    "jit": "off",
}
"""Whatever the server's defaults: an answered commit is on the disk, who waited for a lock sees what was
committed under it, and nobody holds one for long."""

PATIENT: Final = {"command_timeout": None, "server_settings": _SETTINGS | {"statement_timeout": "0"}}
"""For who may take as long as it takes: an audit counts the rows of whole stores."""
NO_MORE: Final[Mapping[str, Any]] = {}

LOST: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What asyncpg raises when a server refuses or goes away; the third in the midst of an answer."""


class Lock:
    """Keys of advisory locks, all of them ours."""

    MIGRATION: Final = (0x53484C46, 1)
    FEED: Final = (0x53484C46, 2)


class Writes(Protocol):
    """Takes statements whose answer nobody waits for."""

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement; its tag."""
        ...


class Connection(Writes, Protocol):
    """What our statements use of a connection; a row is a tuple."""

    async def fetch(self, query: str, *args: Any) -> list[tuple[Any, ...]]:
        """All rows."""
        ...

    async def fetchrow(self, query: str, *args: Any) -> tuple[Any, ...] | None:
        """The first row."""
        ...

    async def fetchval(self, query: str, *args: Any) -> Any:
        """The first column of the first row."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is. The password is read anew for every connection, so that it can be changed."""

    url: str
    password_file: Path | None = None

    def password(self) -> str:
        """Empty where none is configured; never taken from the environment or a home directory."""
        if self.password_file is None:
            return ""
        try:
            return self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"password_file {self.password_file} cannot be read: {_first_line(error)}",
                hint="give a file with the password alone, readable by this user",
            ) from error

    @property
    def options(self) -> dict[str, Any]:
        """For `asyncpg.connect`. Of several hosts the one that takes writes is used."""
        return {
            "dsn": self.url,
            "password": self.password,
            "timeout": _CONNECT_S,
            "command_timeout": _COMMAND_S,
            "server_settings": _SETTINGS,
            "target_session_attrs": "read-write",
        }


@dataclass(slots=True)
class Transaction:
    """What an operation may use: the connection, and how many events it has published."""

    connection: Connection
    published: int = 0


class Database:
    """A pool of connections. Every call raises Unavailable when the database is away or refuses."""

    def __init__(self, address: Address, more: Mapping[str, Any] = NO_MORE) -> None:
        """`more`: options of `asyncpg.connect` besides those of the address, as `PATIENT`."""
        self.address = address
        self._options = {**address.options, **more}
        self.waiting = 0
        self._pool: Any = None

    async def open(self) -> None:
        """DatabaseAway when there is none to be reached."""
        try:
            # Without a floor: the pool logs a traceback whenever it cannot restore one.
            self._pool = await asyncpg.create_pool(
                **self._options,
                init=_read_texts,
                min_size=0,
                max_size=CONNECTIONS,
                max_inactive_connection_lifetime=60,
            )
            await self._pool.release(await self._pool.acquire())
        except LOST as error:
            raise DatabaseAway(
                f"{self.address.url}: {_first_line(error)}",
                hint="is PostgreSQL running there, and may this user log in? See `database` and"
                " `password_file` in bridge.yaml",
            ) from error

    async def close(self) -> None:
        """Wait for what is running, for a moment."""
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(_ACQUIRE_S):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def ask(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        """One statement that reads, on its own."""
        with _told():
            async with self._connection() as connection:
                return await question(connection)

    async def read(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        """Several statements that see one snapshot."""
        with _told():
            async with (
                self._connection() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                return await question(connection)

    async def write(self, operation: Callable[[Transaction], Awaitable[T]]) -> tuple[T, int]:
        """Run `operation` in a transaction; after its commit its result, and how many events it published.

        What the database broke off to let another go on is done again. Unavailable: it was not done, or an
        error from COMMIT or a lost connection left the outcome unknown.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return await self._write_once(operation)
            except _BrokenOff as error:
                log.debug("a transaction was broken off, attempt %d: %s", attempt + 1, error)
                await asyncio.sleep(random.random() * 0.05 * 2**attempt)
        raise Unavailable("the database broke the transaction off again and again", hint="try again")

    async def _write_once(self, operation: Callable[[Transaction], Awaitable[T]]) -> tuple[T, int]:
        with _told():
            try:
                async with self._connection() as connection, connection.transaction():
                    transaction = Transaction(connection)
                    result = await operation(transaction)
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
                raise _BrokenOff(_first_line(error)) from error
        return result, transaction.published

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        if self.waiting >= MAX_WAITING:
            raise Unavailable("too many calls wait for the database", hint="try again in a second")
        self.waiting += 1
        try:
            connection = await self._pool.acquire(timeout=_ACQUIRE_S)
        finally:
            self.waiting -= 1
        try:
            yield connection
        finally:
            await self._pool.release(connection)


async def _read_texts(connection: Any) -> None:
    await connection.set_type_codec("text", schema="pg_catalog", encoder=str, decoder=opened, format="text")


class _BrokenOff(Exception):
    """The database broke a transaction off, so that another goes on."""


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Errors of the database as what they mean to a caller."""
    try:
        yield
    except asyncpg.CharacterNotInRepertoireError as error:
        raise BadRequest("a text has the character U+0000", hint="no name has one") from error
    except ConfigError as error:
        raise Unavailable(error.message, hint=error.hint) from error
    except LOST as error:
        raise Unavailable(f"the database cannot do it now: {_first_line(error)}", hint="try again") from error


def _first_line(error: BaseException) -> str:
    """What went wrong in a line; a time-out says nothing by itself."""
    return (str(error).splitlines() or [type(error).__name__])[0] or type(error).__name__
