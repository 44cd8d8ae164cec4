"""EdgeX's offset rule, and strengths averaged by hop channel."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.stock.hearing import RETAIL_GARMENT, SAMPLES, Hearing, Mobility

GOLDEN = Path(__file__).parents[2] / "golden" / "devices.json"
VECTORS = [
    vector
    for vector in json.loads(GOLDEN.read_text())["vectors"]
    if vector["protocol"] == "edgex-mobility" and "sequence" not in vector["in"]
]
PROFILES = {"asset_tracking": Mobility(-0.008, 6.0, 500.0), "retail_garment": RETAIL_GARMENT}

dbm = st.floats(-120, -1)
reads = st.lists(st.tuples(dbm, st.integers(0, 62) | st.none()), min_size=1, max_size=3 * SAMPLES)


def heard(*samples: tuple[float | None, int | None]) -> Hearing:
    hearing = Hearing("A", 0.0)
    for rssi_dbm, channel in samples:
        hearing.note(rssi_dbm, channel, 1.0)
    return hearing


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_every_vector_of_edgex(vector: dict[str, Any]) -> None:
    told, expected = vector["in"], vector["out"]
    if "profile" in told:
        offset_db = PROFILES[told["profile"]].offset_db(told["age_ms"])
        assert offset_db == pytest.approx(expected["offset_dbm"])
        return
    profile = Mobility(told["slope_dbm_per_ms"], told["threshold_dbm"], told["holdoff_ms"])
    assert profile == PROFILES[vector["id"].rpartition("/")[2]]
    intercept_db = profile.threshold_db - profile.slope_db_per_ms * profile.holdoff_ms
    assert intercept_db == pytest.approx(expected["y_intercept"])


@given(st.sampled_from(sorted(PROFILES)), st.floats(0, 1e7), st.floats(0, 1e7))
def test_the_offset_never_rises_with_age_nor_above_the_threshold(name: str, one: float, other: float) -> None:
    profile = PROFILES[name]
    older, newer = max(one, other), min(one, other)
    assert profile.offset_db(older) <= profile.offset_db(newer) <= profile.threshold_db


@given(st.lists(dbm, min_size=1, max_size=60), st.lists(dbm, min_size=1, max_size=60))
def test_without_channels_it_is_the_mean_of_the_last_twenty_as_in_edgex(
    here: list[float], there: list[float]
) -> None:
    louder_db = heard(*((one, None) for one in here)).louder_db(heard(*((one, None) for one in there)))
    assert louder_db == pytest.approx(fmean(here[-SAMPLES:]) - fmean(there[-SAMPLES:]), abs=0.13)


@given(reads, reads)
def test_the_short_cut_decides_as_the_averages_do_where_channels_differ_by_less(
    here: list[tuple[float, int | None]], there: list[tuple[float, int | None]]
) -> None:
    """Strengths as they come: a place's own, give or take 2 dB."""
    one = heard(*((-50 + rssi_dbm / 60, channel) for rssi_dbm, channel in here))
    other = heard(*((-55 + rssi_dbm / 60, channel) for rssi_dbm, channel in there))
    louder_db = one.louder_db(other)
    assert one.louder_db(other) == pytest.approx(-other.louder_db(one))
    for by_db in (louder_db - 0.01, louder_db + 0.01):
        assert one.is_louder(other, by_db=by_db) == (louder_db > by_db)


def test_a_place_heard_on_other_channels_is_compared_on_those_that_both_know() -> None:
    loud_channel, quiet_channel, unknown_there = 3, 4, 5
    here = heard((-50.0, loud_channel), (-60.0, quiet_channel), (-80.0, unknown_there))
    there = heard(*[(-52.0, loud_channel)] * 9, (-62.0, quiet_channel))
    assert here.louder_db(there) == pytest.approx(2.0)


def test_without_a_channel_in_common_all_of_them_are_averaged() -> None:
    assert heard((-50.0, 1), (-50.0, 1), (-60.0, 2)).louder_db(heard((-58.0, 3))) == pytest.approx(3.0)


def test_who_is_told_no_strength_is_as_loud_everywhere() -> None:
    silent = heard((None, None), (None, 7))
    assert silent.louder_db(heard((-40.0, 1))) == heard((-40.0, 1)).louder_db(silent) == 0.0
    assert silent.is_louder(heard((-40.0, 1)), by_db=-0.1)
    assert silent.reads == 2


@pytest.mark.parametrize("first_khz", [920_625, 902_750, 865_700, 0])
@pytest.mark.parametrize(("step_khz", "channels"), [(500, 50), (250, 20), (750, 6), (600, 4), (1, 50)])
def test_the_channels_of_the_usual_grids_are_told_apart(first_khz: int, step_khz: int, channels: int) -> None:
    """FCC 902 to 928 MHz, China, the simulated R700's, Europe; and numbers in a list."""
    kept = {first_khz + step_khz * number: -30.0 - number / 2 for number in range(min(channels, SAMPLES))}
    here = heard(*((rssi_dbm, channel) for channel, rssi_dbm in kept.items()))
    for channel, rssi_dbm in kept.items():
        assert here.louder_db(heard((rssi_dbm, channel))) == pytest.approx(0.0)


@given(st.floats(allow_nan=True, allow_infinity=True), st.integers() | st.none())
def test_nothing_that_a_reader_may_say_breaks_it(rssi_dbm: float, channel: int | None) -> None:
    assert -128.0 <= heard((rssi_dbm, channel)).louder_db(heard((-60.0, channel))) <= 128.0
