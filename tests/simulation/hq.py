"""HQ: its real engine and decisions, answering bytes with bytes; it is killed, backed up, put back and lost."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from cloud_bridge.admission import Forks
from cloud_bridge.auth import Access
from cloud_bridge.commands import Commands
from cloud_bridge.errors import BadRequest, Conflict
from cloud_bridge.ingest import Ingest
from cloud_bridge.liveness import Liveness
from cloud_bridge.problems import of_error
from cloud_bridge.store.records import FeedEvent, Want, Welcome
from cloud_bridge.store.sqlite import SqliteEngine
from cloud_bridge.store.sqlite.history import ancestry
from cloud_bridge.store.sqlite.schema import FILE_NAME, open_writer
from cloud_bridge.sync_calls import BATCH, HELLO, STATE, unpack
from edge_agent.contract.errors import ShelfEdgeError
from edge_agent.contract.messages import Hello, RecountOrder, encode
from edge_agent.sync.line import Answer, Request
from tests.simulation.disk import fresh, image
from tests.simulation.loop import VirtualLoop
from tests.simulation.net import Net
from tests.simulation.writers import HqWriter

STORE = "s1"
MAX_ROWS = 7
"""Rows of a batch: small, so that there is a past to catch up with."""


class Engine(SqliteEngine):
    """The real engine; it tells how each hello was decided, and asks the world's backup what is safe."""

    def __init__(
        self,
        path: Path,
        writer: type[HqWriter],
        told: Callable[[str], None],
        covered: Callable[[str, str, int], int],
    ) -> None:
        super().__init__(path, writer=writer)
        self._told, self._covered = told, covered

    async def safe(self, store: str, branch: str, head: int) -> int:
        return self._covered(store, branch, head)

    async def hello(self, store: str, hello: Hello, *, received_at: str) -> Want | Welcome:
        answer = await super().hello(store, hello, received_at=received_at)
        self._told("hello want" if isinstance(answer, Want) else f"hello {answer.reason}")
        return answer


class Hq:
    """One data directory; `backup` is what a disaster leaves, and what `safe` means here."""

    writer_of: type[HqWriter] = HqWriter

    def __init__(
        self,
        folder: Path,
        net: Net,
        loop: VirtualLoop,
        r: random.Random,
        *,
        told: Callable[[str], None],
    ) -> None:
        self.file, self.copy = folder / FILE_NAME, folder / "backup.sqlite3"
        self._net, self._loop, self._r, self._told = net, loop, r, told
        self._asked: dict[asyncio.Task[Answer], asyncio.Future[Answer]] = {}
        self._chores: set[asyncio.Task[Any]] = set()
        self._epochs = 0
        self.covered: set[bytes] = set()
        """The chains that the last backup holds."""
        self._safe: dict[tuple[str, int], int] = {}

    # --- its life ---

    def found(self) -> None:
        """A database without a past, backed up."""
        self.file.write_bytes(fresh(_with_a_store))
        self._new_epoch()
        image(self.file, self.copy)
        self.covered = set()
        self._safe.clear()

    def start(self) -> None:
        self.engine = Engine(self.file, self.writer_of, self._told, self.safe_up_to)
        access = Access(self.engine, on_revoked=lambda: None)
        self.commands = Commands(
            self.engine, access, clock=self._loop.now, new_id=lambda: self._r.randbytes(16)
        )
        self._loop.finish(self.commands.load())
        self.ingest = Ingest(
            self.engine,
            Liveness(),
            self.commands,
            forks=Forks(self._loop.time),
            max_rows=MAX_ROWS,
            clock=self._loop.now,
        )
        self.view = reading(self.file)
        self._net.serve = self.serve

    def kill(self) -> None:
        """The process is gone: whoever waits for an answer hears that the line broke."""
        self._net.serve = None
        for task, answer in self._asked.items():
            task.cancel()
            if not answer.done():
                answer.set_exception(ConnectionResetError("HQ died"))
                answer.exception()
        self._asked.clear()
        for chore in (*self._chores, *self.engine._refolds.all()):
            chore.cancel()
        saved = self.file.with_name("killed.sqlite3")
        image(self.file, saved)
        self.engine.writer.kill()
        for connection in (self.view, *self.engine._opened):
            connection.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.file}{suffix}").unlink(missing_ok=True)
        image(saved, self.file)

    def back_up(self) -> None:
        with closing(reading(self.file)) as source, closing(sqlite3.connect(self.copy)) as target:
            source.backup(target)
            self.covered = {chain for (chain,) in target.execute("select chain from ledger")}
        self._safe.clear()

    def put_back(self) -> None:
        """HQ's database as of its last backup; readers of the feed are told that it is another one."""
        image(self.copy, self.file)
        self._new_epoch()

    def lose(self) -> None:
        """Neither database nor backup is left."""
        for path in (self.file, self.copy):
            for suffix in ("", "-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
        self.found()

    def _new_epoch(self) -> None:
        self._epochs += 1
        with closing(sqlite3.connect(self.file)) as db:
            db.execute("update meta set value = ? where key = 'feed_epoch'", (f"e{self._epochs}",))
            db.commit()

    # --- what it answers ---

    def serve(self, request: Request) -> asyncio.Future[Answer]:
        """The answer to come; who asked may be gone by then."""
        answer: asyncio.Future[Answer] = self._loop.create_future()
        task = self._loop.create_task(self.answer(request))
        self._asked[task] = answer

        def done(task: asyncio.Task[Answer]) -> None:
            self._asked.pop(task, None)
            if not answer.done() and not task.cancelled():
                answer.set_result(task.result())

        task.add_done_callback(done)
        return answer

    async def answer(self, request: Request) -> Answer:
        try:
            return Answer(200, None, await self._body(request))
        except ShelfEdgeError as error:
            if isinstance(error, Conflict):
                self._told(f"409 {error.reason}")
            problem = of_error(error)
            assert isinstance(problem.body, bytes)
            return Answer(problem.status, problem.headers.get("Retry-After"), problem.body)

    async def _body(self, request: Request) -> bytes:
        encoding = request.headers.get("Content-Encoding", "identity")
        body = request.body or b""
        if request.call == "hello":
            return encode(await self.ingest.hello(STORE, unpack(body, encoding, HELLO)))
        if request.call == "state":
            await self.ingest.state(STORE, unpack(body, encoding, STATE))
            self._told("state shown")
            return b"{}"
        if request.call == "batch":
            return encode(await self.ingest.batch(STORE, unpack(body, encoding, BATCH)))
        assert request.call == "commands"
        return encode(await self.commands.behind(int((request.query or {})["after"]), store=STORE))

    def safe_up_to(self, store: str, branch: str, head: int) -> int:
        """The newest row of this line of history that the last backup holds."""
        if (branch, head) in self._safe:
            return self._safe[branch, head]
        safe = self._safe[branch, head] = self._covered_up_to(store, branch, head)
        return safe

    def _covered_up_to(self, store: str, branch: str, last: int) -> int:
        find = "select branch from branch where name = ?"
        rows = "select seq, chain from ledger where store = ? and branch = ? and seq between ? and ? order by seq desc"
        [number] = self.view.execute(find, (branch,)).fetchone()
        for segment in ancestry(self.view, store, number, last):
            for seq, chain in self.view.execute(rows, (store, segment.branch, segment.first, segment.last)):
                if chain in self.covered:
                    return int(seq)
        return 0

    def head(self) -> tuple[int, bytes] | None:
        """Where the store's current line of history ends."""
        found = self.view.execute(
            "select head_seq, head_chain from branch join store using (store, branch)"
        ).fetchone()
        return None if found is None else (found[0], found[1])

    def ask(self, work: Coroutine[Any, Any, Any]) -> None:
        """Somebody at HQ wants something; it ends with the process."""
        task = self._loop.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def recount(self, facing: str, on_hand: int) -> None:
        await self.commands.issue(STORE, "recount", RecountOrder(facing=facing, on_hand=on_hand), by="ops")

    # --- what the checker looks at ---

    def ledger(self) -> Counter[bytes]:
        return Counter(eid for (eid,) in self.view.execute("select eid from ledger"))


def _with_a_store(file: Path) -> None:
    with closing(open_writer(file)) as db:
        db.execute("insert into store (store, added_at) values (?, '')", (STORE,))


class FeedReader:
    """Reads the feed now and then and keeps the cursor; what it has seen belongs to one feed."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.seen: list[FeedEvent] = []
        self.refused = 0

    async def read(self, hq: Hq, *, limit: int) -> bool:
        """Whether there was something."""
        try:
            after = 0 if self.cursor is None else hq.engine.place(self.cursor)
        except BadRequest:
            self.cursor, self.refused = None, self.refused + 1
            self.seen.clear()
            return True
        page = await hq.engine.events(after, store=None, type_=None, limit=limit)
        self.seen += page.events
        self.cursor = page.next_cursor
        return bool(page.events)


def reading(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{file}?mode=ro", uri=True)


def changes(events: list[FeedEvent]) -> Counter[str]:
    """What the feed adds up to, by facing."""
    totals: Counter[str] = Counter()
    for event in events:
        if event.entry.type == "stock.changed":
            body = msgspec.json.decode(event.entry.payload)
            totals[body["facing"]] += body["change"]
    return totals
