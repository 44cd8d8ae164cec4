"""What the accuracy trial counts as right: rest, events, the right item, delays, shares."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from benchmarks.accuracy.counters import Weighed
from benchmarks.accuracy.events import NEVER, Events, events_of
from benchmarks.accuracy.frames import Told
from benchmarks.accuracy.gateway import settings_of
from benchmarks.accuracy.goals import goals
from benchmarks.accuracy.informed import habits_of
from benchmarks.accuracy.page import is_, page
from benchmarks.accuracy.premises import premises
from benchmarks.accuracy.results import Result
from benchmarks.accuracy.run import Ran, run, written
from benchmarks.accuracy.stores import KINDS, StoreKind
from benchmarks.accuracy.tally import (
    SURE,
    Tally,
    ahead_of,
    calibration_error,
    exact_of,
    other_of,
    reliability,
)
from benchmarks.accuracy.timeline import Timeline
from device_sims.scenario import Scenario
from device_sims.truth import AnyRecord, BagChanged, ItemsMoved
from device_sims.virtual import OPENED_AT


def kind_of(name: str) -> StoreKind:
    return next(kind for kind in KINDS if kind.name == name)


def moved(facing: str, cause: str, at_s: float, on_hand: int, **more: Any) -> ItemsMoved:
    """One item, in half a second; the plate rests two seconds after the hand came."""
    at = [OPENED_AT + timedelta(seconds=at_s + later) for later in (0.0, 0.5, 2.0)]
    values = {"facing": facing, "gtin": "06901230000009", "cause": cause, "quantity": 1} | more
    return ItemsMoved(started_at=at[0], occurred_at=at[1], at_rest_at=at[2], on_hand=on_hand, **values)


def told(facing: str, change: int, at_s: float, on_hand: int, cause: str = "") -> Told:
    at = OPENED_AT + timedelta(seconds=at_s)
    return Told(at, facing, on_hand, change, cause or ("pick" if change < 0 else "return"))


def world_of(name: str) -> Scenario:
    return premises(kind_of(name), 7).world


def timeline_of(name: str, *truth: AnyRecord) -> Timeline:
    return Timeline(world_of(name), list(truth), OPENED_AT.timestamp())


# --- when a count is asked for --------------------------------------------------------------


def test_a_count_is_not_asked_for_while_its_plate_is_touched() -> None:
    timeline = timeline_of("typical", moved("F00", "pick", 100.0, 5))
    assert [at_s for at_s in (98.9, 99.1, 103.4, 103.6) if timeline.at_rest("F00", at_s)] == [98.9, 103.6]
    assert timeline.at_rest("F01", 101.0)


@pytest.mark.parametrize(("store", "mate", "stranger"), [("mixed", "F01", "F02"), ("wide", "F01", "F02")])
def test_facings_on_the_same_plates_are_touched_together(store: str, mate: str, stranger: str) -> None:
    timeline = timeline_of(store, moved("F00", "pick", 100.0, 5))
    assert not timeline.at_rest(mate, 101.0)
    assert timeline.at_rest(stranger, 101.0)


def test_an_item_that_comes_to_lie_across_touches_the_neighbour_and_so_does_taking_it() -> None:
    timeline = timeline_of(
        "neighbours",
        moved("F00", "return", 100.0, 6, across={"F01": 80.0}),
        moved("F00", "pick", 200.0, 5, across={"F01": 80.0}),
        moved("F00", "pick", 300.0, 4),
    )
    assert [timeline.at_rest("F01", at_s) for at_s in (101.0, 201.0, 301.0)] == [False, True, False]


def test_a_bag_touches_the_plate_until_it_has_settled() -> None:
    laid = BagChanged(
        occurred_at=OPENED_AT + timedelta(seconds=50), facing="F00", weight_g=900.0, state="laid"
    )
    timeline = timeline_of("typical", laid)
    assert [timeline.at_rest("F00", at_s) for at_s in (48.9, 54.0, 54.6)] == [True, False, True]


def test_what_lay_there_is_known_at_every_moment() -> None:
    timeline = timeline_of("typical", moved("F00", "pick", 100.0, 5), moved("F00", "pick", 200.0, 4))
    opened = next(f.on_hand for f in timeline.world.facings if f.id == "F00")
    assert [timeline.on_hand("F00", at_s) for at_s in (0.0, 100.4, 100.6, 199.0, 201.0)] == [
        opened,
        opened,
        5,
        5,
        4,
    ]


# --- events -----------------------------------------------------------------------------------


def test_an_event_told_of_the_facing_beside_is_another_item() -> None:
    truth = [moved("F00", "pick", 100.0, 5), moved("F02", "pick", 200.0, 5), moved("F04", "pick", 300.0, 5)]
    said = [told("F00", -1, 102.0, 5), told("F03", -1, 202.0, 5), told("F20", -1, 302.0, 5)]
    found = events_of(said, timeline_of("typical", *truth))
    assert (found.hit, found.missed, found.invented, found.elsewhere) == (1, 2, 2, 1)
    assert found.identity == 0.5
    assert found.f1 == pytest.approx(1 / 3)


def test_an_item_in_the_wrong_place_that_is_told_as_one_of_that_place_is_another_item() -> None:
    timeline = timeline_of("misplaced", moved("F00", "misplace", 100.0, 5))
    assert events_of([told("F00", 1, 102.0, 6)], timeline).elsewhere == 1
    assert events_of([], timeline).elsewhere == 0


def test_a_wrong_guess_beside_an_event_that_was_told_rightly_is_no_other_item() -> None:
    said = [told("F00", -1, 102.0, 5), told("F01", -1, 102.0, 5)]
    assert events_of(said, timeline_of("typical", moved("F00", "pick", 100.0, 5))).elsewhere == 0


def test_corrections_are_changes_but_no_events_and_the_opening_is_neither() -> None:
    said = [
        told("F00", 6, 5.0, 6, "initial"),
        told("F00", -1, 102.0, 5),
        told("F00", 1, 130.0, 6, "correction"),
        told("F00", 0, 140.0, 6, "correction"),
    ]
    found = events_of(said, timeline_of("typical", moved("F00", "pick", 100.0, 5)))
    assert (found.hit, found.invented, found.changes, found.messages) == (1, 0, 2, 3)


def test_a_count_is_true_again_from_rest_on_or_never_before_the_next_change() -> None:
    truth = [moved("F00", "pick", at_s, on_hand) for at_s, on_hand in ((100.0, 5), (200.0, 4), (300.0, 3))]
    said = [told("F00", -1, 101.9, 5), told("F00", -1, 207.0, 4), told("F00", -2, 302.0, 2)]
    found = events_of(said, timeline_of("typical", *truth))
    assert found.delays_s == [0.0, pytest.approx(5.0), NEVER]
    assert (found.delay_s(0.5), found.delay_s(0.95)) == (pytest.approx(5.0), NEVER)
    assert found.never == pytest.approx(1 / 3)


def test_stores_add_up() -> None:
    both = Events(hit=1, delays_s=[1.0])
    both.add(Events(hit=2, missed=1, delays_s=[2.0]))
    assert (both.hit, both.missed, both.delays_s) == (3, 1, [1.0, 2.0])


# --- shares -----------------------------------------------------------------------------------


def tally(*counts: tuple[int, tuple[int | None, float], dict[str, int]]) -> Tally:
    found = Tally()
    for truth, ours, others in counts:
        found.add(truth, ours, {name: (n, 0.0) for name, n in others.items()})
    return found


def test_counts_add_up_to_shares() -> None:
    found = [
        tally((5, (5, 0.99), {"division": 5}), (5, (4, 0.96), {"division": 5})),
        tally((4, (None, 0.0), {}), (4, (4, 0.6), {"division": 3})),
    ]
    result = Result(kind_of("typical"), found, Events())
    assert (result.near, result.unit_error, result.sure) == (0.75, 5 / 18, 0.5)
    assert exact_of(found).share == 0.5
    assert result.sure_right.share == 0.5
    assert other_of(found, "division").share == pytest.approx(2 / 3)
    assert ahead_of(found, "division").share == pytest.approx(0.5 - 2 / 3)
    assert ahead_of(found, "nobody") is None


def test_confidence_is_compared_with_truth_bin_by_bin() -> None:
    found = [tally(*[(1, (1, 0.97), {})] * 3, (1, (2, 0.97), {}), (1, (1, 0.2), {}))]
    assert [(name, one.counts, one.right) for name, one in reliability(found)] == [
        ("0.00–0.50", 1, 1),
        ("0.95–0.99", 4, 3),
    ]
    assert calibration_error(found) == pytest.approx((abs(0.2 - 1) + abs(4 * 0.97 - 3)) / 5)


def test_the_interval_is_drawn_over_facings_and_always_the_same() -> None:
    found = [tally((1, (1, SURE), {})), tally((1, (2, SURE), {}))] * 5
    share = exact_of(found)
    assert share == exact_of(found)
    assert share.low < 0.5 < share.high


def test_a_goal_that_is_missed_says_by_how_much() -> None:
    result = Result(kind_of("hard"), [tally(*[(1, (1, 0.9), {})] * 9, (1, (2, 0.9), {}))], Events())
    found = {str(goal): goal for goal in goals({"hard": result})}
    assert found["exact ≥ 0.93"].by == pytest.approx(-0.03)
    assert found["within ±1 ≥ 0.97"].is_reached
    assert "| hard | exact ≥ 0.93 | 0.9 | 0.03 | – |" in page({"hard": result}, [7], 3.0)


# --- stores -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_of_store_is_the_same_for_the_same_seed(kind: StoreKind) -> None:
    one, same, other = premises(kind, 7), premises(kind, 7), premises(kind, 8)
    assert one.printed == same.printed
    assert one.world == same.world
    assert one.world != other.world
    assert is_(one.kind) or kind.name == "typical"
    habits_of(one.kind, one.world.noise)


def test_who_is_told_the_generator_knows_how_long_things_stay_that_do_not_belong_there() -> None:
    goes = {
        name: habits_of(kind_of(name), world_of(name).noise).foreign_goes
        for name in ("typical", "sticky", "misplaced", "hard")
    }
    assert goes["misplaced"] < goes["sticky"] < goes["hard"] < goes["typical"] < 0.3


def test_an_unfamiliar_store_is_not_what_its_planogram_says() -> None:
    drawn = premises(kind_of("unfamiliar"), 7)
    wrong = [p.tagged - w.tagged for p, w in zip(drawn.printed.products, drawn.world.products, strict=True)]
    assert 0 < max(map(abs, wrong)) <= 0.11
    assert 0 < sum(p.unit_weight_sd_g is None for p in drawn.printed.products) < 24
    off = [
        p.unit_weight_g / w.unit_weight_g - 1
        for p, w in zip(drawn.printed.products, drawn.world.products, strict=True)
    ]
    assert 0.01 < max(map(abs, off)) < 0.035
    for printed, told_of, true in zip(
        drawn.printed.products, drawn.told.products, drawn.world.products, strict=True
    ):
        assert printed.unit_weight_g == told_of.unit_weight_g
        assert (told_of.tagged, told_of.unit_weight_sd_g) == (true.tagged, true.unit_weight_sd_g)


def test_only_a_plate_with_one_kind_of_item_that_lies_nowhere_else_is_divided(tmp_path: Any) -> None:
    divided = {}
    for name in ("typical", "mixed", "wide"):
        folder = tmp_path / name
        folder.mkdir()
        divided[name] = len(Weighed(settings_of(written(folder, world_of(name)))).plates)
    assert divided == {"typical": 24, "mixed": 0, "wide": 0}


def test_who_counts_cannot_import_the_simulator() -> None:
    code = (
        "import sys; from benchmarks.accuracy.counting import NoSimulator, SIMULATOR\n"
        "assert SIMULATOR not in sys.modules\n"
        "sys.meta_path.insert(0, NoSimulator())\n"
        "import device_sims.world"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "must not know the simulator" in done.stderr


@pytest.mark.parametrize("name", ["easy", "camera-only"])
def test_a_store_is_counted_through_its_devices_own_bytes_and_always_the_same(name: str) -> None:
    ran: Ran = run(kind_of(name), 7, seconds=130.0)
    result = Result.of(kind_of(name), [ran])
    assert result.counts > 40
    assert result.exact is not None
    assert result.exact.share > 0.7
    assert f"| {name} |" in page({name: result}, [7], 0.05)
    assert run(kind_of(name), 7, seconds=130.0) == ran


def test_a_kind_can_be_changed_without_another_drawing_differently() -> None:
    """What is drawn hangs on the name and the seed alone."""
    kind = replace(kind_of("typical"), bags=0.0)
    assert premises(kind, 7).world.products == world_of("typical").products
