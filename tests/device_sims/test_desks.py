"""Till, goods-in and smart camera: what they publish is what occurred, and the agent reads it as that."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import topic_matches_sub

from device_sims.broker import Broker, User, available_brokers
from device_sims.goods_in import GoodsIn
from device_sims.scenario import Scenario
from device_sims.store_file import AgentFiles, Places, store_yaml
from device_sims.till import Till
from device_sims.truth import ItemsDelivered, ItemsMoved, ShopperLeft
from device_sims.virtual import VirtualStore
from edge_agent.config.devices import MqttDevice
from edge_agent.config.store import ENV_PREFIX, StoreSettings
from edge_agent.drivers.decode import decoder_for
from edge_agent.drivers.tap import Heard
from edge_agent.readings import Delivery, GapSeen, Reading, Sale
from edge_agent.service.settings import load

COLA, TEA, AT_NS = "06901234567892", "04012345678901", 1_767_268_800_000_000_000
ALL = [
    {"id": "till", "kind": "till"},
    {"id": "goods", "kind": "goods-in"},
    {"id": "cam-{shelf}", "kind": "smart-camera"},
]


def scenario(devices: list[dict[str, Any]], **more: Any) -> Scenario:
    products = [
        {"gtin": COLA, "name": "cola", "unit_weight_g": 352.0},
        {"gtin": TEA, "name": "tea", "unit_weight_g": 528.0},
    ]
    facings = [
        {
            "id": f"{shelf}-{n}",
            "gtin": (COLA, TEA)[n % 2],
            "shelf": shelf,
            "capacity": 12,
            "reorder_point": 3,
            "on_hand": 6,
        }
        for shelf in ("A", "B")
        for n in range(3)
    ]
    file = {
        "seconds": 1200, "store": {"id": "s1"}, "products": products, "facings": facings, "devices": devices,
        "people": {"shoppers_per_minute": 6, "steals": 0.2, "misplaces": 0.1},
        "timeline": [{"act": "delivery", "at_s": 30, "gtin": COLA, "quantity": 24}],
    }  # fmt: skip
    return Scenario.model_validate(file | more)


def settings_of(made: Scenario) -> StoreSettings:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pw").write_text("none")
        broker = Broker("mosquitto", 1, 2, User("agent", "a"), User("reader", "r"), folder / "pw")
        (folder / "store.yaml").write_text(store_yaml(made, Places({}, broker=broker), AgentFiles(folder)))
        return load(folder / "store.yaml", StoreSettings, env_prefix=ENV_PREFIX, environ={})


def lived(made: Scenario, seconds: float = 1200.0) -> tuple[VirtualStore, list[Reading], list[str]]:
    """A store, and what the agent's own decoders make of what it publishes; what they do not understand."""
    store, found, faults = VirtualStore(made, seed=5), list[Reading](), list[str]()
    devices = [one for one in settings_of(made).devices if isinstance(one, MqttDevice)]
    decoders = [(one.topic_filter, decoder_for(one)) for one in devices]
    for _, _, said in store.advance(seconds):
        for topic, decoder in decoders:
            if topic_matches_sub(topic, said.topic):
                for one in decoder.feed(Heard("in", said.body, said.topic)):
                    (faults if isinstance(one, str) else found).append(one)  # type: ignore[arg-type]  # by its kind
    return store, found, faults


def paid(store: VirtualStore) -> Counter[str]:
    items: Counter[str] = Counter()
    for one in store.truth:
        if isinstance(one, ShopperLeft) and one.paid:
            items.update(one.items)
    return items


def sold(found: list[Reading]) -> Counter[str]:
    items: Counter[str] = Counter()
    for one in found:
        if isinstance(one, Sale):
            items[one.gtin] += one.quantity
    return items


@pytest.mark.parametrize("tills", [1, 3])
def test_the_receipts_are_what_was_paid_for_and_no_line_comes_twice(tills: int) -> None:
    store, found, faults = lived(scenario([{"id": f"till-{n}", "kind": "till"} for n in range(tills)]))
    sales = [one for one in found if isinstance(one, Sale)]
    assert faults == []
    assert sold(found) == paid(store)
    assert len({(one.device, one.receipt, one.line) for one in sales}) == len(sales) > 50
    assert len({one.device for one in sales}) == tills
    assert any(isinstance(one, ShopperLeft) and not one.paid for one in store.truth)


def test_a_receipt_has_its_lines_its_numbers_and_its_moment() -> None:
    till = Till("till-1")
    first, second = (till.receipt([(COLA, 2), (TEA, 1)], at_ns=AT_NS) for _ in range(2))
    assert first.topic == "tills/till-1/receipts"
    assert json.loads(first.body) == {
        "receipt": "20260101120000-0001",
        "ts": 1_767_268_800_000,
        "lines": [
            {"line": 1, "gtin": "6901234567892", "quantity": 2},
            {"line": 2, "gtin": "4012345678901", "quantity": 1},
        ],
    }
    assert json.loads(second.body)["receipt"] == "20260101120000-0002"
    assert not first.retained


def test_lines_that_are_not_scanned_are_missing() -> None:
    store, found, _ = lived(scenario([{"id": "till", "kind": "till", "missed": 0.3}]))
    share = sold(found).total() / paid(store).total()
    assert 0.55 < share < 0.85


def test_goods_in_scans_what_comes_and_what_is_put_onto_facings() -> None:
    store, found, faults = lived(scenario([{"id": "goods", "kind": "goods-in"}]))
    came = Counter({(COLA, None): 24})
    for one in store.truth:
        if isinstance(one, ItemsMoved) and one.cause == "restock":
            came[one.gtin, one.facing] += one.quantity
    scans = [one for one in found if isinstance(one, Delivery)]
    seen: Counter[tuple[str, str | None]] = Counter()
    for scan in scans:
        seen[scan.gtin, scan.facing] += scan.quantity
    assert faults == []
    assert seen == came
    assert len(came) > 3
    assert len({(one.delivery, one.line) for one in scans}) == len(scans)


def test_a_filling_may_be_missed_and_a_delivery_is_not() -> None:
    store, found, _ = lived(scenario([{"id": "goods", "kind": "goods-in", "missed": 1.0}]))
    assert [(one.quantity, one.facing) for one in found if isinstance(one, Delivery)] == [(24, None)]
    assert [one.quantity for one in store.truth if isinstance(one, ItemsDelivered)] == [24]
    assert json.loads(GoodsIn("g").scanned(TEA, 3, facing="A-1", at_ns=AT_NS).body) == {
        "delivery": "20260101120000-0001",
        "ts": 1_767_268_800_000,
        "lines": [{"line": 1, "gtin": "4012345678901", "quantity": 3, "facing": "A-1"}],
    }


SHARP = {"misses": 0, "false_gaps": 0, "occluded": 0}


def test_a_camera_for_each_shelf_sees_the_empty_places_of_its_own() -> None:
    made = scenario(
        [{"id": "cam-{shelf}", "kind": "smart-camera", **SHARP}],
        seconds=60,
        people={"shoppers_per_minute": 0, "restock_at_least": 99},
        timeline=[{"act": "pick", "at_s": 20, "facing": "A-1", "quantity": 6}],
    )
    _, found, faults = lived(made, 58.0)
    gaps = [one for one in found if isinstance(one, GapSeen)]
    assert faults == []
    assert {one.device for one in gaps} == {"cam-a", "cam-b"}
    assert {one.facing for one in gaps if one.device == "cam-b"} == {"B-0", "B-1", "B-2"}
    empty = [one.occurred_at for one in gaps if one.gap]
    assert {one.facing for one in gaps if one.gap} == {"A-1"}
    assert len([one for one in gaps if one.facing == "A-1"]) < 11, "nothing while the hand was there"
    assert len(empty) == len({*empty}) >= 6


def test_what_lies_in_the_wrong_place_is_something_to_an_eye() -> None:
    made = scenario(
        [{"id": "cam", "kind": "smart-camera", "facings": ["A-1"], **SHARP}],
        seconds=80,
        people={"shoppers_per_minute": 0, "restock_at_least": 99},
        timeline=[
            {"act": "pick", "at_s": 2, "facing": "A-1", "quantity": 6},
            {"act": "bag", "at_s": 12, "facing": "A-1", "weight_g": 500, "for_s": 18},
            {"act": "misplace", "at_s": 45, "facing": "A-0", "onto": "A-1"},
        ],
    )
    store = VirtualStore(made, seed=1)
    fills: list[tuple[float, float | None]] = []
    for at_s, _, said in store.advance(78.0):
        if said.topic.endswith("places"):
            fills.append((at_s, json.loads(said.body)["places"][0]["fill"]))

    def gap(first_s: float, last_s: float) -> set[bool]:
        return {fill < 0.1 for at_s, fill in fills if fill is not None and first_s < at_s < last_s}

    assert [gap(9, 12), gap(16, 30), gap(36, 45), gap(55, 78)] in (
        [{True}, {False}, {True}, {False}],
        [set(), {False}, {True}, {False}],
    )
    assert (store.world.on_hand("A-1"), store.world.in_view("A-1")) == (0, 1)


@pytest.mark.parametrize("fault", ["mute", "garbage", "duplicate", "drop", "reorder", "late-reply", "half-frame", "stale-retained", "clock-off", "unplug"])  # fmt: skip
def test_every_fault_of_a_device_on_mqtt_befalls_these_too_and_ends(fault: str) -> None:
    devices = [{"id": "till", "kind": "till"}, {"id": "goods", "kind": "goods-in"}, {"id": "cam", "kind": "smart-camera"}]  # fmt: skip
    made = scenario(
        devices, faults=[{"fault": fault, "device": ["till", "goods", "cam"], "at_s": 60, "for_s": 900}]
    )
    store = VirtualStore(made, seed=5)
    said: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for at_s, plug, message in store.advance(1200.0):
        if "state" not in message.topic:
            said[60.5 < at_s < 960][plug] += 1
    assert set(said[False]) == {"till", "goods", "cam"}, "before and afterwards all speak"
    silent = fault in ("mute", "unplug", "half-frame", "stale-retained")
    whole = {"till": 60, "goods": 1, "cam": 170}
    for name, least in whole.items():
        assert said[True][name] <= 1 if silent else said[True][name] >= 0.4 * least, name


def test_the_agent_expects_a_camera_to_speak_and_a_till_not() -> None:
    expected = {one.id: one.expect_every_s for one in settings_of(scenario(ALL)).devices}
    assert expected == {"till": None, "goods": None, "cam-a": 25.0, "cam-b": 25.0}


# --- through a real broker ---------------------------------------------------------------------


@contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.mark.skipif(not available_brokers(), reason="no MQTT broker is installed")
@pytest.mark.timeout(240)
def test_the_agent_hears_all_three_of_a_running_store_through_its_broker(tmp_path: Path) -> None:
    """Shoppers who are in a hurry, and staff who fill at once."""
    people = {"shoppers_per_minute": 60, "inside_at_opening": 6, "visit_s": [3, 5], "restock_after_s": [0.1, 0.2], "restock_at_least": 1, "walk_to_shelf_s": 0}  # fmt: skip
    devices = [{"id": "till", "kind": "till"}, {"id": "goods", "kind": "goods-in"}, {"id": "cam", "kind": "smart-camera", "every_s": 0.5, **SHARP}]  # fmt: skip
    made = scenario(devices, people=people)
    (tmp_path / "scenario.yaml").write_text(made.model_dump_json(exclude_none=True, exclude={"shelving"}))
    run = [
        "device_sims",
        "run",
        str(tmp_path / "scenario.yaml"),
        "--json",
        "--seed",
        "3",
        "--dir",
        str(tmp_path),
    ]
    with started(*run) as store, ExitStack() as stack:
        assert store.stdout is not None
        file = json.loads(store.stdout.readline())["store_file"]
        watches = [
            stack.enter_context(started("edge_agent", "watch", one["id"], "-c", file)) for one in devices
        ]
        lines = [json.loads(watch.stdout.readline()) for watch in watches if watch.stdout is not None]
    assert [line["kind"] for line in lines] == ["sale", "delivery", "gap"]
    assert [line["device"] for line in lines] == ["till", "goods", "cam"]
    assert all(line["occurred_at"] for line in lines)
    assert lines[1]["facing"] in {facing.id for facing in made.facings}
