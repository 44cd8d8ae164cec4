"""Several faults on the same thing at once: it works again when the last of them is over, and not before."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from device_sims.fault import Fault
from device_sims.scenario import Scenario
from device_sims.serve import bench
from device_sims.store import SimulatedStore


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def store_of(folder: Path, *kinds: str) -> SimulatedStore:
    file = bench(kinds[0]).model_dump(exclude={"devices", "shelving"}, exclude_none=True)
    devices = [{"id": f"{kind}-1", "kind": kind} for kind in kinds]
    scenario = Scenario.model_validate({**file, "devices": devices})
    return SimulatedStore(
        scenario, seed=1, folder=folder, hq_url=None, clip=None, ports={}, tell=lambda _record: None
    )


@pytest.mark.parametrize("first", ["unplug", "power-cut"])
async def test_a_reader_is_back_when_the_last_of_two_faults_is_over(tmp_path: Path, first: str) -> None:
    store = store_of(tmp_path, "llrp")
    faults = {
        "unplug": Fault(fault="unplug", device="llrp-1"),
        "power-cut": Fault(fault="power-cut"),
    }
    async with store.running() as places:
        port = int(places.ports["llrp-1"].rpartition(":")[2])
        assert listens(port)
        numbers = {name: await store.begin(fault) for name, fault in faults.items()}
        assert not listens(port)
        await store.end(numbers.pop(first))
        assert not listens(port)
        await store.end(*numbers.values())
        assert listens(port)


async def test_faults_that_begin_and_end_together_leave_everything_as_it_was(tmp_path: Path) -> None:
    store = store_of(tmp_path, "mqtt-plate", "llrp")
    async with store.running() as places:
        assert places.broker is not None
        port = int(places.ports["llrp-1"].rpartition(":")[2])
        for _ in range(5):
            numbers = await asyncio.gather(
                store.begin(Fault(fault="power-cut")),
                store.begin(Fault(fault="broker-restart", for_s=30)),
                store.begin(Fault(fault="unplug", device="*")),
            )
            assert not places.broker.running
            await asyncio.gather(*map(store.end, numbers))
            assert places.broker.running
            assert listens(port)
