"""Whatever a power cut or a full disk leaves of the journal, it opens with all that was acknowledged, and nothing twice."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from edge_agent.contract.errors import JournalError
from edge_agent.contract.messages import StockChanged, fold_chain
from edge_agent.contract.times import utc_now
from edge_agent.journal import Capture, Journal, writer
from edge_agent.lines import Line
from edge_agent.stock.belief import Belief
from tests.edge_agent.journal.crash_disk import Disk, Image, images

GTIN = "06901234567892"
CHECKPOINT_PAGES = {"wal_autocheckpoint": "24"}
SEED = 20261128


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody relies on."""

    seq: int
    chain: bytes
    base_seq: int
    applied: int
    lines: int


@dataclass(slots=True)
class History:
    """Drives a journal, and knows what must be on the disk."""

    disk: Disk
    rnd: random.Random
    told: list[Told] = field(default_factory=list)
    facings: dict[int, dict[str, int]] = field(default_factory=lambda: {0: {}})
    """The newest count of each facing, at each seq where a capture ends."""
    seq: int = 0
    receipts: int = 0

    def live(self, journal: Journal, steps: int) -> None:
        for _ in range(steps):
            what = self.rnd.random()
            if what < 0.12:
                at = journal.position
                applied = self.rnd.randint(at.applied, journal.durable_seq)
                self.wait(journal, journal.acknowledged("b", applied=applied, safe=applied))
            elif what < 0.2:
                self.wait(journal, journal.prune(journal.position.applied))
            elif what < 0.25:  # a line that changes nothing must not be taken twice either
                self.wait(journal, journal.submit(self.with_line(Capture())))
            else:
                waits = [journal.submit(self.capture()) for _ in range(self.rnd.randint(1, 4))]
                self.wait(journal, *waits)

    def wait(self, journal: Journal, *waits: Future[None]) -> None:
        for one in waits:
            one.result(20)
        at = journal.position
        self.told.append(Told(self.seq, journal.last_chain, at.base_seq, at.applied, self.receipts))
        self.disk.told()

    def capture(self) -> Capture:
        made, counts = Capture(), dict(self.facings[self.seq])
        for facing in self.rnd.sample(range(12), self.rnd.randint(1, 3)):
            name = f"A{facing}"
            before = counts.get(name, 0)
            change = self.rnd.randint(-min(3, before), 5) or 1
            counts[name] = before + change
            body = StockChanged(
                facing=name,
                gtin=GTIN,
                change=change,
                on_hand=counts[name],
                confidence=1.0,
                cause="pick",
                sources=["weight"],
                status="ok",
                observed_at=None,
            )
            made.effects.tell("stock.changed", body, utc_now())
            made.effects.beliefs.append(Belief(name, GTIN, counts[name]))
        self.seq += len(made.effects.events)
        if self.rnd.random() < 0.3:
            self.with_line(made)
        self.facings[self.seq] = counts
        return made

    def with_line(self, made: Capture) -> Capture:
        self.receipts += 1
        made.lines.append(Line("sale", f"r{self.receipts}", "1", f"{GTIN} 1"))
        return made

    def fault(self, folder: Path, known: int) -> str | None:
        """What is wrong with the journal in `folder`, of which the first `known` answers were given."""
        told = self.told[known - 1] if known else Told(0, bytes(16), 0, 0, 0)
        with closing(Journal(folder)) as journal:
            if journal.moved_aside is not None:
                return "damaged"
            at = journal.position
            kept = journal.last_seq, at.applied, at.base_seq, lines_in(journal)
            if any(
                have < wanted
                for have, wanted in zip(
                    kept, (told.seq, told.applied, told.base_seq, told.lines), strict=True
                )
            ):
                return "lost"
            if told.seq > at.base_seq and journal.chain_at(told.seq) != told.chain:
                return "another history"
            return self._inconsistent(journal)

    def _inconsistent(self, journal: Journal) -> str | None:
        at, rows = journal.position, journal.rows_after(0, limit=100_000)
        if [row.seq for row in rows] != list(range(at.base_seq + 1, journal.last_seq + 1)):
            return "gap"
        if fold_chain(at.base_chain, rows) != journal.last_chain:
            return "broken chain"
        if not at.base_seq <= min(at.applied, at.safe) <= at.applied <= journal.last_seq:
            return "position ahead"
        if journal.last_seq not in self.facings:
            return "half a capture"
        state = {belief.facing: belief.on_hand for belief in journal.restored.beliefs}
        folded = {
            body.facing: body.on_hand
            for body in (msgspec.json.decode(row.body, type=StockChanged) for row in rows)
        }
        is_fold = state == self.facings[journal.last_seq] and folded.items() <= state.items()
        return None if is_fold else "state is not the fold"


def lines_in(journal: Journal) -> int:
    return int(journal.look(lambda db: db.execute("select count(*) from line").fetchone()[0]))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is some: thousands of files are written."""
    shm = Path("/dev/shm")  # noqa: S108  # a folder of our own in it
    made = Path(tempfile.mkdtemp(dir=shm if shm.is_dir() else tmp_path))
    yield made
    shutil.rmtree(made)


def lived(folder: Path, disk: Disk, *, steps: int, pragmas: Mapping[str, str] = CHECKPOINT_PAGES) -> History:
    history = History(disk, random.Random(SEED))
    with closing(Journal(folder, commit_window_s=0, opener=disk.opener(pragmas))) as journal:
        history.live(journal, steps)
        log = disk.log[:]  # without the last checkpoint, which closing makes
    disk.log = log
    return history


def faults(folder: Path, history: History, *, every: int) -> tuple[int, Counter[str]]:
    """Every `every`-th image: how many were looked at, and what was wrong."""
    looked, wrong, rnd = 0, Counter[str](), random.Random(SEED)
    pick = rnd.randrange(every)
    for number, image in enumerate(images(history.disk.log, rnd)):
        if number % every == pick:
            looked += 1
            if (fault := audited(folder / f"image-{number}", image, history)) is not None:
                wrong[fault] += 1
    return looked, wrong


def audited(place: Path, image: Image, history: History) -> str | None:
    image.lay(place)
    fault = history.fault(place, image.told)
    shutil.rmtree(place)
    return fault


@pytest.mark.parametrize(
    ("steps", "every"), [(60, 9), pytest.param(400, 1, marks=[pytest.mark.soak, pytest.mark.timeout(3_000)])]
)
def test_no_power_cut_loses_what_was_acknowledged(folder: Path, steps: int, every: int) -> None:
    history = lived(folder / "live", Disk(), steps=steps)
    assert any(
        step.kind == "write" and step.file == "" for step in history.disk.log[200:]
    )  # checkpoints are among them
    looked, wrong = faults(folder, history, every=every)
    print(f"seed {SEED}: {looked} images of {len(history.disk.log)} steps")
    assert looked > 100
    assert not wrong


@pytest.mark.parametrize(
    ("pragmas", "lies"), [({**CHECKPOINT_PAGES, "synchronous": "normal"}, False), (CHECKPOINT_PAGES, True)]
)
def test_the_audit_sees_commits_that_are_not_flushed(
    folder: Path, pragmas: dict[str, str], lies: bool
) -> None:
    history = lived(folder / "live", Disk(lies=lies), steps=40, pragmas=pragmas)
    _, wrong = faults(folder, history, every=29)
    assert wrong["lost"] + wrong["damaged"] > 0
    assert lies or set(wrong) == {"lost"}


def refused_once(folder: Path, steps: int, **refusals: Any) -> Disk:
    """The whole history on a disk that refuses once: nobody notices, and the file has all of it, once."""
    disk = Disk()
    disk.error = refusals.get("error", apsw.FullError)
    disk.refuse_write, disk.refuse_sync = refusals.get("write", 0), refusals.get("sync", 0)
    history = History(disk, random.Random(SEED))
    opener = disk.opener(CHECKPOINT_PAGES)
    try:
        journal = Journal(folder, commit_window_s=0, opener=opener)
    except JournalError:  # refused while the file was made: the service manager starts the agent again
        journal = Journal(folder, commit_window_s=0, opener=opener)
    with closing(journal):
        history.live(journal, steps)
        assert not journal.failed
    assert history.fault(folder, len(history.told)) is None
    with closing(Journal(folder)) as again:
        assert (again.last_seq, lines_in(again)) == (history.seq, history.receipts)
    shutil.rmtree(folder)
    return disk


@pytest.mark.parametrize(
    ("steps", "every"), [(14, 7), pytest.param(60, 1, marks=[pytest.mark.soak, pytest.mark.timeout(3_000)])]
)
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # SQLite ignores a failed checkpoint
@pytest.mark.parametrize(
    ("what", "error"), [("write", apsw.FullError), ("write", apsw.IOError), ("sync", apsw.IOError)]
)
def test_a_disk_that_refuses_any_one_call_loses_and_doubles_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, what: str, error: type[apsw.Error], steps: int, every: int
) -> None:
    monkeypatch.setattr(writer, "AGAIN_AFTER_S", 0.0)
    whole = refused_once(folder / "whole", steps)
    calls = whole.writes if what == "write" else whole.syncs
    assert calls > steps
    for number in range(1, calls + 1, every):
        refused_once(folder / "refused", steps, error=error, **{what: number})
