"""Smart cameras that say themselves which places of a shelf are empty."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_agent.config.mappings import MqttJson
from edge_agent.config.store import ENV_PREFIX, StoreSettings
from edge_agent.contract.errors import ConfigError
from edge_agent.drivers.decode import decode_stream
from edge_agent.drivers.mqtt_json import Mapper
from edge_agent.drivers.topic import Understood
from edge_agent.readings import GapSeen, Reading
from edge_agent.service.settings import load

AT = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)


def settings(**gap: Any) -> MqttJson:
    return MqttJson.model_validate(
        {"id": "cam-1", "driver": "mqtt-json", "topic": "t", "time": "ts", "gap": gap}
    )


def understood(gap: dict[str, Any], payload: Any) -> Understood:
    return Mapper(settings(**gap)).understand(json.dumps(payload).encode(), "t")


def readings(gap: dict[str, Any], payload: Any) -> list[Reading]:
    found = understood(gap, payload)
    assert found.faults == []
    return found.readings


def test_a_verdict_on_each_place_that_the_camera_sees() -> None:
    sent = {"ts": 1795341600, "places": [{"facing": "A1", "fill": 0.04}, {"facing": "A2", "fill": "0.5"}]}
    assert readings({"each": "places"}, sent) == [
        GapSeen("cam-1", "A1", 0.04, True, AT),
        GapSeen("cam-1", "A2", 0.5, False, AT),
    ]


def test_what_counts_as_a_gap_is_below_a_tenth_or_as_configured() -> None:
    def gap(mapping: dict[str, Any], fill: float) -> bool:
        (one,) = readings(mapping, {"facing": "A1", "fill": fill})
        assert isinstance(one, GapSeen)
        return one.gap

    assert [gap({}, fill) for fill in (0.0, 0.09, 0.1, 1.0)] == [True, True, False, False]
    assert [gap({"gap_below": 0.3}, fill) for fill in (0.2, 0.3)] == [True, False]


def test_per_cent_and_a_time_of_each_place() -> None:
    own = AT - timedelta(seconds=2)
    sent = {"ts": 1795341600, "facing": "A1", "fill": 7, "seen": "2026-11-22T09:59:58Z"}
    assert readings({"scale": 0.01, "time": "seen"}, sent) == [GapSeen("cam-1", "A1", 0.07, True, own)]


def test_the_cameras_own_word_is_believed_before_the_share() -> None:
    sent = {"facing": "A1", "fill": 0.4, "empty": True}
    assert readings({"gap": "empty"}, sent) == [GapSeen("cam-1", "A1", 0.4, True)]
    words = {"facing": "A1", "state": "EMPTY", "fill": 0.0}
    assert readings({"gap": "state == 'STOCKED'"}, words) == [GapSeen("cam-1", "A1", 0.0, False)]


def test_a_camera_that_says_only_yes_or_no() -> None:
    assert readings({"each": "@", "gap": "empty"}, [{"facing": "A1", "empty": 1}, {"facing": "A2", "empty": "no"}]) == [
        GapSeen("cam-1", "A1", 0.0, True),
        GapSeen("cam-1", "A2", 1.0, False),
    ]  # fmt: skip


def test_places_by_key_and_names_of_the_cameras_own() -> None:
    gap = {"each": "zones", "fill": "@", "facing_names": {"Zone-1": "A1", "7": "A2"}}
    sent = {"zones": {"ZONE-1": 0.5, "7": 0, "zone-3": 0.9}}
    assert readings(gap, sent) == [GapSeen("cam-1", "A1", 0.5, False), GapSeen("cam-1", "A2", 0.0, True)]
    numbered = {"each": "@", "facing": "zone", "facing_names": {"7": "A2"}}
    assert readings(numbered, [{"zone": 7, "fill": 1}]) == [GapSeen("cam-1", "A2", 1.0, False)]


def test_no_verdict_is_no_reading_and_no_fault() -> None:
    found = understood({"each": "places"}, {"places": [{"facing": "A1", "fill": None}, {"facing": "A2"}]})
    assert (found.readings, found.faults, found.others) == ([], [], 2)


def test_names_of_which_none_is_ours_are_noticed() -> None:
    found = understood({"each": "@", "facing_names": {"x": "A1"}}, [{"facing": "y", "fill": 1}])
    assert found.faults == ["no mapped value in the message"]


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ({"fill": 1.2}, "A2: fill is no share from 0 to 1: 1.2"),
        ({"fill": -0.1}, "A2: fill is no share from 0 to 1: -0.1"),
        ({"fill": "full"}, "A2: fill is no share from 0 to 1: 'full'"),
        ({"fill": True}, "A2: fill is no share from 0 to 1: True"),
        ({"empty": "maybe"}, "A2: gap is neither true nor false: 'maybe'"),
        ({"facing": ["A2"]}, "facing is no name: ['A2']"),
    ],
)
def test_a_bad_place_is_one_line_of_text_and_the_others_count(place: dict[str, Any], fault: str) -> None:
    sent = [{"facing": "A1", "fill": 1}, {"facing": "A2", "fill": 1, **place}, {"facing": "A3", "fill": 1}]
    found = understood({"each": "@", "gap": "empty"}, sent)
    assert [one.facing for one in found.readings if isinstance(one, GapSeen)] == ["A1", "A3"]
    assert found.faults == [fault]


def test_decode_prints_a_verdict_as_json() -> None:
    (gap,) = decode_stream("mqtt-json", [b'{"facing": "A1", "fill": 0.04}'], options={"gap": "{}"})
    assert gap == {
        "kind": "gap", "device": None, "facing": "A1", "fill": 0.04, "gap": True, "occurred_at": None,
    }  # fmt: skip


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["facing", "fill", "empty", "places"]), inner),
    max_leaves=20,
))  # fmt: skip
def test_whatever_a_camera_says_a_share_is_one(sent: Any) -> None:
    for one in understood({"each": "places", "gap": "empty"}, sent).readings:
        assert isinstance(one, GapSeen)
        assert 0 <= one.fill <= 1


@pytest.mark.parametrize("gap", [{"gap_below": 0}, {"gap_below": 1.5}, {"scale": 0}, {"facing": "a..b"}])
def test_a_mapping_that_cannot_work_is_refused(gap: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**gap)


def test_check_names_facings_that_the_store_does_not_have(tmp_path: Path) -> None:
    product = {"gtin": "06901234567892", "name": "cola", "unit_weight_g": 352.0}
    device = {"id": "cam-1", "driver": "mqtt-json", "topic": "c", "gap": {"facing_names": {"zone-1": "A9"}}}
    store = {
        "store": {"id": "s"}, "mqtt": {"url": "mqtt://127.0.0.1:1883"}, "products": [product],
        "facings": [{"id": "A1", "gtin": product["gtin"], "capacity": 9}], "devices": [device],
    }  # fmt: skip
    file = tmp_path / "store.yaml"
    file.write_text(yaml.safe_dump(store))
    with pytest.raises(ConfigError) as caught:
        load(file, StoreSettings, env_prefix=ENV_PREFIX, environ={})
    (problem,) = caught.value.problems
    assert "devices.0.gap.facing_names.zone-1: facing 'A9' is not in facings" in problem
    device |= {"gap": {}, "tag": {"antenna": "a"}, "antennas": {"1": "A8"}}
    file.write_text(yaml.safe_dump(store))
    with pytest.raises(ConfigError) as caught:
        load(file, StoreSettings, env_prefix=ENV_PREFIX, environ={})
    assert "facing 'A8' is not in facings" in caught.value.problems[0]
