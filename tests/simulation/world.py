"""One store's bad luck, drawn from a seed: steps that happen to gateways, HQ and the line between them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

from edge_agent.sync.uplink import Session
from tests.simulation.disk import image
from tests.simulation.gateway import FACINGS, Gateway
from tests.simulation.hq import FeedReader, Hq
from tests.simulation.loop import VirtualLoop
from tests.simulation.net import CALM, FATES, Net

HEALED_WITHIN_S = 300.0


class World:
    """Lives `steps` steps, then heals; `told` is all that happened, in order."""

    gateway_of: type[Gateway] = Gateway
    hq_of: type[Hq] = Hq
    weights: ClassVar[dict[str, float]] = {
        "capture": 34, "pass_time": 34, "cut_line": 3, "kill_agent": 5, "copy_disk": 2.5, "restore_disk": 1.5, "restore_machine": 1.5,
        "reimage": 0.5, "clone": 1, "forget": 6, "kill_hq": 2, "back_up_hq": 3, "restore_hq": 1.5,
        "lose_hq": 0.8, "recount": 3, "read_feed": 4,
    }  # fmt: skip

    def __init__(self, seed: int, folder: Path) -> None:
        self.r, self.folder = random.Random(seed), folder
        self.fates = FATES if seed % 4 else CALM
        folder.mkdir()
        self.loop = VirtualLoop()
        self.told: list[str] = []
        self.happened: Counter[str] = Counter()
        self.acknowledged: dict[bytes, None] = {}
        self.lost_by_disks: set[bytes] = set()
        self.excused: set[bytes] = set()
        self.digest = ""
        self.reader = FeedReader()
        self.is_unhealed = False
        self.gateways: list[Gateway] = []
        self.was_restored = self.was_cloned = False
        """HQ has forgotten what it did; nobody can tell a gateway from its twin."""
        self.snapshot: Session | None = None

    @contextmanager
    def opened(self) -> Iterator[World]:
        """The world from its first day; at the end nothing runs."""
        random.seed(self.r.random())  # the jitter of the agents' retries
        with self.loop.running():
            self.net = Net(self.loop, self.r, self.tell, fates=self.fates)
            self.hq = self.hq_of(self.folder, self.net, self.loop, self.r, told=self.tell)
            self.hq.found()
            self.hq.start()
            self.gateways.append(self.new_gateway())
            self.gateways[0].start()
            try:
                yield self
            finally:
                self.net.clear()
                for gateway in self.gateways:
                    if not gateway.task.done():
                        gateway.kill()
                self.hq.kill()
                self.loop.run_for(60)

    def tell(self, what: str) -> None:
        self.happened[what] += 1
        self.told.append(f"{self.loop.time():.3f} {what}")

    def trace(self) -> str:
        """A digest of everything that happened and of what HQ holds."""
        digest = blake2b("\n".join(self.told).encode())
        for what in (
            "branch, seq, chain, received_at from ledger order by branch, seq",
            "seq, type, received_at, payload from feed order by n",
        ):
            for row in self.hq.view.execute(f"select {what}"):
                digest.update(repr(row).encode())
        return digest.hexdigest()

    def live(self, steps: int) -> None:
        for name in self.r.choices(list(self.weights), list(self.weights.values()), k=steps):
            self.tell(name)
            getattr(self, name)(self.r.choice(self.gateways))
            self.let_run()

    def let_run(self) -> None:
        """To anywhere: a few callbacks on, or a while."""
        if self.r.random() < 0.6:
            for _ in range(self.r.randrange(50)):
                self.loop.step()
        else:
            self.loop.run_for(self.r.expovariate(1 / 2))

    def heal(self) -> None:
        """Each gateway alone on a clean line, until HQ has all of it and the gateway knows."""
        for gateway in self.gateways:
            gateway.kill()
        self.net.clear()
        self.net.is_clean = True
        for gateway in self.gateways:
            gateway.start()
            for _ in range(2):
                if not self.loop.run_until(lambda: self._agree(gateway), within_s=HEALED_WITHIN_S):  # noqa: B023  # called at once
                    self.is_unhealed = True
                self.loop.run_for(6)
            if gateway is not self.gateways[-1]:
                gateway.kill()
        while self.loop.finish(self.reader.read(self.hq, limit=500)):
            continue

    def _agree(self, gateway: Gateway) -> bool:
        journal, status = gateway.journal, gateway.uplink.status
        if not (status.online and status.applied == journal.position.applied == journal.last_seq):
            return False
        return self.hq.head() == (journal.last_seq, journal.last_chain)

    # --- steps ---

    def capture(self, gateway: Gateway) -> None:
        for _ in range(self.r.choice((1, 1, 1, 4))):
            gateway.capture()

    def pass_time(self, _: Gateway) -> None:
        self.loop.run_for(self.r.choice((0.2, 2, 12)))

    def cut_line(self, gateway: Gateway) -> None:
        for_s = self.r.expovariate(1 / 60)
        self.net.cut_until_s[gateway.folder.name] = round(self.loop.time() + for_s)
        for _ in range(self.r.randrange(8)):
            gateway.capture()

    def kill_agent(self, gateway: Gateway) -> None:
        gateway.kill()
        gateway.start()

    def copy_disk(self, _: Gateway) -> None:
        image(self.gateways[0].file, self.folder / "disk.db")
        self.snapshot = self.gateways[0].memory()

    def restore_disk(self, _: Gateway) -> None:
        if (self.folder / "disk.db").exists():
            self.replace_first(self.folder / "disk.db")

    def restore_machine(self, _: Gateway) -> None:
        """Disk and memory: it goes on in the session that it had."""
        if (self.folder / "disk.db").exists():
            self.replace_first(self.folder / "disk.db", memory=self.snapshot)

    def reimage(self, _: Gateway) -> None:
        self.replace_first(None)

    def clone(self, gateway: Gateway) -> None:
        if len(self.gateways) == 1:
            twin = self.new_gateway()
            image(gateway.file, twin.file)
            self.gateways.append(twin)
            self.was_cloned = True
            twin.start(self.r.choice((None, gateway.memory())))

    def forget(self, gateway: Gateway) -> None:
        gateway.forget(older_than_s=self.r.choice((0, 0, 20, 100)))

    def kill_hq(self, _: Gateway) -> None:
        self.hq.kill()
        if self.r.random() < 0.3:
            self.loop.run_for(self.r.expovariate(1 / 60))
        self.hq.start()

    def back_up_hq(self, _: Gateway) -> None:
        self.hq.back_up()

    def restore_hq(self, _: Gateway) -> None:
        self.was_restored = True
        self.hq.kill()
        self.hq.put_back()
        self.hq.start()
        self.excuse(lost_now=set())

    def lose_hq(self, _: Gateway) -> None:
        """No copy of HQ is left: what gateways were free to forget may be gone."""
        self.was_restored = True
        kept = {eid for gateway in self.gateways for eid in gateway.not_safe()}
        self.hq.kill()
        self.hq.lose()
        self.hq.start()
        self.excused |= self.acknowledged.keys() - kept

    def recount(self, _: Gateway) -> None:
        work = self.hq.recount(self.r.choice(FACINGS), self.r.randrange(12))
        self.hq.ask(work)

    def read_feed(self, _: Gateway) -> None:
        self.loop.finish(self.reader.read(self.hq, limit=self.r.choice((3, 100))))

    # --- what may be missing ---

    def held(self) -> set[bytes]:
        return {eid for gateway in self.gateways for eid in gateway.held()}

    def excuse(self, *, lost_now: set[bytes]) -> None:
        """An event may be missing only when a gateway's disk lost it and no other copy holds it."""
        self.lost_by_disks |= lost_now
        gone = self.acknowledged.keys() - self.held() - self.hq.ledger().keys()
        self.excused |= gone & self.lost_by_disks

    def replace_first(self, disk: Path | None, memory: Session | None = None) -> None:
        before = self.held()
        self.gateways[0].kill()
        gateway = self.new_gateway()
        if disk is not None:
            image(disk, gateway.file)
        self.gateways[0] = gateway
        gateway.start(memory)
        self.excuse(lost_now=before - self.held())

    def new_gateway(self) -> Gateway:
        number = sum(1 for _ in self.folder.glob("edge*"))
        return self.gateway_of(
            self.folder / f"edge{number}",
            self.net,
            self.loop,
            self.r,
            acknowledged=lambda eids: self.acknowledged.update(dict.fromkeys(eids)),
        )
