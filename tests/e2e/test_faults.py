"""Every fault that a store knows, on simulated devices, against the real agent and HQ: it is seen, the others
never notice, nothing is lost, it heals."""

from __future__ import annotations

import asyncio
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from device_sims import control
from device_sims.broker import available_brokers
from device_sims.fault import FAULTS
from edge_agent.contract.errors import ConfigError

STORE, GTIN, UNIT_G = "store-0042", "06901234567892", 352.0
ON_HAND, LEFT = 10, 7


@dataclass(frozen=True)
class Case:
    """One fault of one device, and what is then said of it. `blind`: the count stays as it was until it heals."""

    fault: str
    kind: dict[str, Any]
    status: str = "online"
    reason: str = ""
    blind: bool = False

    @property
    def name(self) -> str:
        return f"{self.fault}-{self.kind['kind']}"

    @property
    def device(self) -> str:
        return f"d-{self.name}"


SICS, PLATE = {"kind": "mt-sics"}, {"kind": "mqtt-plate", "every_s": 0.2}
CASES = [
    Case("unplug", SICS, "offline", "E-LINK-LOST", blind=True),
    Case("mute", SICS, "offline", "E-DEVICE-SILENT", blind=True),
    Case("half-frame", SICS, "offline", "E-DEVICE-SILENT", blind=True),
    Case("garbage", SICS),
    Case("slow-drip", SICS),
    Case("late-reply", SICS),
    Case("duplicate", SICS),
    Case("drop", SICS, "online or offline"),
    Case("stuck", SICS, blind=True),
    Case("over", SICS, "degraded", "overload", blind=True),
    Case("under", SICS, "degraded", "underload", blind=True),
    Case("wrong-checksum", {"kind": "modbus-scale", "profile": "laumas"}, "offline", "E-DEVICE-SILENT", blind=True),
    Case("antenna-off", {"kind": "r2000"}, "degraded", "antenna 1"),
    Case("unplug", PLATE, "offline", "hubs/hub-", blind=True),
    Case("mute", PLATE, "degraded", "silent", blind=True),
    Case("half-frame", PLATE, "degraded", "silent", blind=True),
    Case("garbage", PLATE),
    Case("late-reply", PLATE),
    Case("duplicate", PLATE),
    Case("drop", PLATE),
    Case("reorder", PLATE),
    Case("stale-retained", PLATE, "degraded", "silent", blind=True),
    Case("clock-off", PLATE),
    Case("stuck", PLATE, blind=True),
    Case("over", PLATE, "online or degraded", blind=True),
]  # fmt: skip
SOUND = {
    "sound-mt-sics": SICS,
    "sound-mqtt-plate": PLATE,
    "sound-toledo-8217": {"kind": "toledo-8217"},
    "sound-nci": {"kind": "toledo-8217", "dialect": "nci"},
    "sound-ascii-scale": {"kind": "ascii-scale"},
    "sound-homie-shelf": {"kind": "homie-shelf", "every_s": 0.2},
    "sound-dini-argeo": {"kind": "modbus-scale", "profile": "dini-argeo"},
    "sound-baykon": {"kind": "modbus-scale", "profile": "baykon", "link": "tcp"},
    "sound-load-cell-16": {"kind": "modbus-scale", "profile": "load-cell-16"},
}
READERS = ["uhfreader18", "m100", "llrp", "impinj-r700", "zebra-iotc"]
TWIN = "d-sound-mt-sics"


def scenario() -> dict[str, Any]:
    """A device for each fault and sound ones beside them, each before a facing of its own; a fridge."""
    # The sound scale comes first: it is the one whose serial number another device will have.
    named = {"sound-mt-sics": SICS} | {case.name: case.kind for case in CASES} | SOUND
    facing = {"gtin": GTIN, "capacity": 24, "reorder_point": 1, "on_hand": ON_HAND}
    return {
        "seconds": 3600,
        "store": {"id": STORE, "timezone": "Asia/Shanghai"},
        "products": [{"gtin": GTIN, "name": "Cola", "unit_weight_g": UNIT_G, "tagged": 1.0}],
        "facings": [{"id": name, "shelf": name, **facing} for name in named],
        "fridges": [{"id": "f1", "warms_c_per_min": 90, "cools_c_per_min": 200, "alarm_c": 8, "alarm_for_s": 1}],
        "devices": [
            *({"id": f"d-{name}", "facings": [name], **kind} for name, kind in named.items()),
            *({"id": f"r-{kind}", "kind": kind, "facings": ["sound-mt-sics"]} for kind in READERS),
            {"id": "probe", "kind": "tasmota-probe", "every_s": 0.5},
            {"id": "climate", "kind": "sht20"},
            {"id": "door", "kind": "zigbee-contact"},
            {"id": "till", "kind": "till"},
            {"id": "goods-in", "kind": "goods-in"},
            {"id": "cam", "kind": "smart-camera", "facings": ["sound-mt-sics"], "misses": 0, "false_gaps": 0, "occluded": 0},
        ],
        "people": {"shoppers_per_minute": 0},
    }  # fmt: skip


@dataclass
class Run:
    """A running store, agent and HQ, and what was seen on the way."""

    world: Any
    wait_for: Any
    folder: Path
    begun: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    counts_meanwhile: dict[str, int] = field(default_factory=dict)

    def ask(self, **question: Any) -> Any:
        return asyncio.run(control.ask(self.folder, question))

    def fault(self, fault: str, *devices: str, **more: Any) -> int:
        return int(self.ask(do="fault", fault=fault, device=list(devices), **more)["number"])

    def at_agent(self) -> dict[str, tuple[str, str]]:
        return {d["device"]: (d["status"], d["reason"] or "") for d in self.world.status()["devices"]}

    def at_hq(self) -> dict[str, tuple[str, str]]:
        found = self.world.hq(f"/v1/stores/{STORE}/devices")["items"]
        return {d["device"]: (d["status"], d["reason"] or "") for d in found}

    def on_hand(self) -> dict[str, int]:
        return {f["facing"]: f["on_hand"] for f in self.world.status()["facings"]}

    def uncounted(self, count: int) -> dict[str, int]:
        """The weighed facings on which something else is counted."""
        return {name: n for name, n in self.on_hand().items() if "r2000" not in name and n != count}

    def changes(self) -> list[dict[str, Any]]:
        """What HQ was told of the weighed facings. A weak tag may be heard for the first time at any moment."""
        told = [event["data"] for event in self.world.events("stock.changed")]
        return [change for change in told if "r2000" not in change["facing"]]

    def all_online(self) -> bool:
        return {status for status, _ in self.at_hq().values()} == {"online"}


@contextmanager
def simulated(world: Any, wait_for: Any, file: Path) -> Iterator[Path]:
    folder = world.folder / "sim"
    words = ["--json", "--hold", "--seed", "7", "--dir", str(folder), "--edge-port", str(world.edge_port)]
    words += ["--hq", f"http://127.0.0.1:{world.hq_port}", "--token-file", str(world.folder / "store.token")]
    command = [sys.executable, "-m", "device_sims", "run", str(file), *words]
    said = world.folder / "sims.log"  # a file: a pipe that nobody reads would stop the simulator
    with said.open("wb") as log:
        sims = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
    with sims:
        assert sims.stdin
        wait_for(lambda: '"ready"' in said.read_text(), seconds=40, what="devices ready")
        sims.stdin.write(b"open\n")
        sims.stdin.flush()
        try:
            yield folder
        finally:
            sims.terminate()
            sims.wait(20)


@pytest.fixture(scope="module")
def run(module_world: Any, wait_for: Any) -> Iterator[Run]:
    """All faults at once, items taken from every facing meanwhile, then all healed."""
    if not available_brokers():
        pytest.skip("no MQTT broker is installed: apt-get install mosquitto")
    world, file = module_world, module_world.folder / "scenario.yaml"
    file.write_text(yaml.safe_dump(scenario()))
    world.start_hq()
    with simulated(world, wait_for, file) as folder:
        world.store_yaml.write_text((folder / "store.yaml").read_text())
        world.start_agent()
        made = Run(world, wait_for, folder)
        wait_for(lambda: made.uncounted(ON_HAND) == {}, what="all counts")
        wait_for(made.all_online, what="all devices online at HQ")
        for case in CASES:
            made.fault(case.fault, case.device)
        wait_for(lambda: all_seen(made), seconds=15, what="every fault seen at agent and HQ")
        for facing in made.on_hand():
            made.ask(do="move", facing=facing, change=LEFT - ON_HAND)
        sound = [case.name for case in CASES if not case.blind and "r2000" not in case.name] + list(SOUND)
        wait_for(
            lambda: all(made.on_hand()[name] == LEFT for name in sound), what="what is not blind sees it"
        )
        made.counts_meanwhile = made.on_hand()
        made.ask(do="heal", number=None)
        yield made


def all_seen(run: Run) -> bool:
    for place, told in (("agent", run.at_agent()), ("HQ", run.at_hq())):
        for case in CASES:
            status, reason = told[case.device]
            if status in case.status and case.reason in reason:
                run.begun.setdefault(place, {}).setdefault(case.name, (status, reason))
    return all(len(run.begun.get(place, {})) == len(CASES) for place in ("agent", "HQ"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_seen_at_agent_and_hq_and_the_count_waits_or_goes_on(run: Run, case: Case) -> None:
    for place in ("agent", "HQ"):
        status, reason = run.begun[place][case.name]
        assert status in case.status
        assert case.reason in reason
    if "r2000" not in case.name:
        assert run.counts_meanwhile[case.name] == (ON_HAND if case.blind else LEFT)


def test_whoever_is_sound_never_notices(run: Run) -> None:
    counted = {name: run.counts_meanwhile[name] for name in SOUND}
    assert set(counted.values()) == {LEFT}
    changes = [e["data"] for e in run.world.events("device.changed")]
    sound = {f"d-{name}" for name in SOUND} | {f"r-{kind}" for kind in READERS} | {"probe", "climate", "door"}
    assert {c["device"] for c in changes if c["device"] in sound and c["status"] != "online"} == set()


def test_all_heal_and_nothing_is_lost_or_told_twice(run: Run, wait_for: Any) -> None:
    wait_for(run.all_online, seconds=40, what="all online at HQ again")
    wait_for(lambda: run.uncounted(LEFT) == {}, what="all counts again")

    def at_hq() -> list[int | None]:
        return [v["on_hand"] for f, v in run.world.facings().items() if "r2000" not in f]

    wait_for(
        lambda: set(at_hq()) == {LEFT}, what="all counts at HQ"
    )  # the agent shows them before they are durable
    wait_for(run.world.caught_up, what="HQ has every row")
    picks = [change["change"] for change in run.changes() if change["cause"] != "initial"]
    assert sum(picks) == (LEFT - ON_HAND) * len(at_hq())
    run.world.bridge("audit")
    assert "Traceback" not in run.world.log("agent")


def test_a_fridge_that_fails_is_an_alarm_at_hq_and_clears(run: Run, wait_for: Any) -> None:
    number = run.fault("fridge-failure", "f1")

    def told(state: str) -> set[str]:
        return {
            e["data"]["device"] for e in run.world.events("environment.alarm") if e["data"]["state"] == state
        }

    wait_for(lambda: told("raised") >= {"probe", "climate"}, seconds=30, what="the alarms")
    run.ask(do="heal", number=number)
    wait_for(lambda: told("cleared") >= {"probe", "climate"}, seconds=30, what="the end of the alarms")


def test_a_scale_that_was_swapped_for_one_with_anothers_number_is_told(run: Run, wait_for: Any) -> None:
    device, said = "d-duplicate-mt-sics", "now it is B000700001"
    number = run.fault("same-serial", device)
    wait_for(lambda: said in run.at_agent()[device][1], what="the agent's word")
    wait_for(lambda: said in run.at_hq()[device][1], what="HQ's word")
    wait_for(lambda: re.search(rf"{device}.*{said}", run.world.log("agent")), what="the line in the log")
    run.ask(do="heal", number=number)
    wait_for(run.all_online, seconds=20, what="online again")


@pytest.mark.parametrize("fault", ["broker-restart", "power-cut"])
def test_all_gone_at_once_and_back_is_few_lines_and_no_wrong_stock(
    run: Run, wait_for: Any, fault: str
) -> None:
    wait_for(run.all_online, seconds=40, what="all online before")
    before, lines = run.changes(), len(run.world.log("agent").splitlines())
    number = run.fault(fault)
    # A broker that is back within seconds is told to nobody; without power all of them are gone.
    if fault == "power-cut":
        wait_for(lambda: "online" not in {s for s, _ in run.at_hq().values()}, what="all are gone at HQ")
    run.ask(do="heal", number=number)
    wait_for(run.all_online, seconds=40, what="all are back")
    wait_for(run.world.caught_up, what="HQ has every row")
    assert run.uncounted(LEFT) == {}
    assert run.changes()[len(before) :] == []
    assert len(run.world.log("agent").splitlines()) - lines < 12
    run.world.bridge("audit")


def test_a_line_to_hq_that_is_cut_loses_nothing(run: Run, wait_for: Any) -> None:
    wait_for(run.all_online, seconds=40, what="all online before")
    number = run.fault("uplink-cut")
    run.ask(do="move", facing="sound-mt-sics", change=-1)
    wait_for(lambda: run.on_hand()["sound-mt-sics"] == LEFT - 1, what="the agent counts on")
    assert run.world.on_hand("sound-mt-sics") == LEFT
    run.ask(do="heal", number=number)
    wait_for(lambda: run.world.on_hand("sound-mt-sics") == LEFT - 1, seconds=30, what="HQ knows")
    wait_for(run.world.caught_up, what="HQ has every row")
    run.world.bridge("audit")


@pytest.mark.soak
@pytest.mark.timeout(4000)
def test_a_random_fault_every_second_for_half_an_hour_leaks_and_loses_nothing(
    run: Run, wait_for: Any
) -> None:
    """SOAK_S seconds (1800): any fault of any device that can have it, items moved meanwhile, some at once."""
    wait_for(run.all_online, seconds=40, what="all online before")
    chance, agent = random.Random(42), psutil.Process(run.world.running["agent"].pid)
    devices = [device["id"] for device in scenario()["devices"]]
    facings = [name for name in run.on_hand() if "r2000" not in name]
    faults, rss_mb, files = Counter[str](), list[float](), agent.num_fds()
    until = time.monotonic() + float(os.environ.get("SOAK_S", "1800"))
    while time.monotonic() < until:
        fault = chance.choice(sorted(FAULTS))
        of_store = FAULTS[fault].target == "store"
        device = "f1" if fault == "fridge-failure" else chance.choice(devices)
        try:
            run.fault(fault, *([] if of_store else [device]), for_s=chance.uniform(0.5, 8.0))
            faults[fault] += 1
        except ConfigError as error:
            if "cannot befall" not in str(error):
                raise
            continue
        facing = chance.choice(facings)
        change = chance.choice((-2, -1, 1, 2))
        if 0 <= run.ask(do="status")["on_hand"][facing] + change <= 24:
            run.ask(do="move", facing=facing, change=change)
        rss_mb.append(agent.memory_info().rss / 2**20)
        time.sleep(1.0)  # the rhythm of the faults
    run.ask(do="heal", number=None)
    wait_for(run.all_online, seconds=90, what="all online at HQ again")
    truth = {name: n for name, n in run.ask(do="status")["on_hand"].items() if name in facings}
    wait_for(lambda: {n: run.on_hand()[n] for n in facings} == truth, seconds=30, what=f"the counts {truth}")
    wait_for(run.world.caught_up, seconds=60, what="HQ has every row")
    assert {n: f["on_hand"] for n, f in run.world.facings().items() if n in facings} == truth
    run.world.bridge("audit")
    assert "Traceback" not in run.world.log("agent")
    quarter = len(rss_mb) // 4
    early, late = (statistics.median(part) for part in (rss_mb[quarter : 2 * quarter], rss_mb[-quarter:]))
    said = len(run.world.log("agent").splitlines())
    print(
        f"{faults.total()} faults {dict(faults)}, RSS {early:.1f} MB, later {late:.1f} MB, {said} log lines"
    )
    assert late - early < 10
    assert agent.num_fds() <= files + 5


def test_every_fault_of_the_table_is_tried_here() -> None:
    alone = {"fridge-failure", "same-serial", "broker-restart", "power-cut", "uplink-cut"}
    assert {case.fault for case in CASES} | alone == set(FAULTS)
