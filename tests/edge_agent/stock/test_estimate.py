"""From plate readings to stock events."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.contract.messages import ItemMoved, StockChanged
from edge_agent.contract.planogram import Facing, Planogram, Product
from edge_agent.moment import Moment
from edge_agent.readings import TagRead, WeightReading
from edge_agent.stock.belief import Belief
from edge_agent.stock.effects import Effects, PlatePosition
from edge_agent.stock.estimate import Estimator
from edge_agent.stock.sensors import Wiring

COLA, TEA = "06901234567892", "06901234567885"
UNIT_G = 352.0
START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def planogram(tagged: float = 0.95) -> Planogram:
    return Planogram(
        products=[
            Product(gtin=COLA, unit_weight_g=UNIT_G, unit_weight_sd_g=1.8, tagged=tagged),
            Product(gtin=TEA, unit_weight_g=210.0, unit_weight_sd_g=2.1, tagged=1.0),
        ],
        facings=[
            Facing(id="A1-01", gtin=COLA, capacity=24, reorder_point=6),
            Facing(id="A1-02", gtin=TEA, capacity=10, reorder_point=2),
        ],
    )


class Shelf:
    """Drives one plate at 10 Hz with load-cell noise and a virtual clock."""

    def __init__(self, seed: int = 1, *, tagged: float = 0.95) -> None:
        wiring = Wiring({("s1", None): ["A1-01"]}, {("r1", 1): "A1-02", ("r1", 2): "A1-01"})
        self.estimator = Estimator(planogram(tagged), wiring)
        self.random, self.t, self.told = random.Random(seed), 100.0, list[StockChanged]()
        self.kept: dict[tuple[str, int | None], PlatePosition] = {}

    def now(self) -> Moment:
        return Moment(START + timedelta(seconds=self.t), self.t)

    def note(self, effects: Effects | None) -> None:
        self.kept |= {(p.device, p.channel): p for p in (effects.plates if effects else ())}
        for event in effects.events if effects else []:
            if isinstance(event.body, StockChanged):
                self.told.append(event.body)

    def hold(
        self, weight_g: float, seconds: float, *, shake_g: float = 0.0, stable: bool | None = None
    ) -> None:
        for _ in range(round(seconds * 10)):
            self.t += 0.1
            shown = weight_g + self.random.gauss(0, 0.15) + self.random.uniform(-shake_g, shake_g)
            self.note(self.estimator.weight(WeightReading("s1", None, shown, stable), self.now()))

    def last(self) -> tuple[int | None, int, str]:
        body = self.told[-1]
        return body.on_hand, body.change, body.cause


def test_a_plate_at_rest_goes_on_being_evidence_without_an_event() -> None:
    shelf = Shelf()
    shelf.hold(10 * UNIT_G, 60)
    belief = shelf.estimator.beliefs["A1-01"]
    assert len(shelf.told) == 1
    assert belief.observed_at is not None
    assert shelf.now().at - belief.observed_at < timedelta(seconds=1.2)
    assert belief.changed_at is not None
    assert belief.changed_at < START + timedelta(seconds=102)
    shelf.t += 600
    assert shelf.estimator.beliefs["A1-01"].observed_at == belief.observed_at  # silence is no evidence


def test_first_rest_is_initial_then_pick_return_and_restock_have_their_names() -> None:
    shelf = Shelf()
    shelf.hold(10 * UNIT_G, 1)
    assert shelf.last() == (10, 10, "initial")
    shelf.hold(8 * UNIT_G, 1)
    assert shelf.last() == (8, -2, "pick")
    shelf.hold(9 * UNIT_G, 1)
    assert shelf.last() == (9, 1, "return")
    shelf.hold(24 * UNIT_G, 1)
    assert shelf.last() == (24, 15, "restock")
    assert len(shelf.told) == 4


def test_a_settled_shelf_says_nothing_for_an_hour() -> None:
    shelf = Shelf()
    shelf.hold(12 * UNIT_G, 3600)
    assert len(shelf.told) == 1


def test_nothing_is_told_while_the_plate_moves() -> None:
    shelf = Shelf()
    shelf.hold(12 * UNIT_G, 1)
    shelf.hold(11 * UNIT_G, 3, shake_g=60)
    assert len(shelf.told) == 1
    shelf.hold(11 * UNIT_G, 1)
    assert shelf.last() == (11, -1, "pick")


def test_a_stuck_unstable_flag_delays_but_does_not_silence() -> None:
    shelf = Shelf()
    shelf.hold(5 * UNIT_G, 3, stable=False)
    assert shelf.last() == (5, 5, "initial")


def test_a_stable_flag_alone_settles_nothing() -> None:
    shelf = Shelf()
    shelf.hold(5 * UNIT_G, 3, shake_g=60, stable=True)
    assert shelf.told == []


def test_a_change_that_nobody_saw_is_one_correction() -> None:
    shelf = Shelf()
    shelf.hold(10 * UNIT_G, 1)
    shelf.t += 60
    shelf.hold(3 * UNIT_G, 1)
    assert shelf.last() == (3, -7, "correction")
    assert len(shelf.told) == 2


def test_a_restart_with_the_same_shelf_tells_nothing() -> None:
    shelf = Shelf()
    shelf.hold(10 * UNIT_G, 1)
    again = Shelf()
    again.estimator = Estimator(
        planogram(), Wiring({("s1", None): ["A1-01"]}, {}), shelf.estimator.beliefs.values()
    )
    (position,) = shelf.kept.values()
    again.estimator.restore_plate(position, again.now())
    again.hold(10 * UNIT_G, 5)
    assert again.told == []


def test_a_foreign_object_lowers_confidence_and_says_why() -> None:
    shelf = Shelf()
    shelf.hold(10 * UNIT_G, 1)
    shelf.hold(10 * UNIT_G + 150, 1)
    assert shelf.told[-1].reasons == ["foreign_object"]
    assert shelf.told[-1].confidence < 0.9
    assert shelf.told[-1].status == "ok", "however many they are, they are neither few nor none"


def test_a_silent_scale_loses_confidence_instead_of_freezing() -> None:
    shelf = Shelf()
    shelf.hold(10 * UNIT_G, 1)
    sure = shelf.told[-1].confidence
    shelf.estimator.device_lost("s1", shelf.now())
    for _ in range(4000):
        shelf.t += 0.5
        shelf.note(shelf.estimator.tick(shelf.now()))
    assert sure > 0.9
    assert shelf.told[-1].confidence <= 0.4
    assert (shelf.told[-1].status, shelf.told[-1].change, shelf.told[-1].on_hand) == ("unknown", 0, 10)


def test_zero_is_out_and_few_is_low() -> None:
    shelf = Shelf()
    shelf.hold(6 * UNIT_G, 1)
    assert shelf.told[-1].status == "low"
    shelf.hold(0, 1)
    assert shelf.told[-1].status == "out"


EPC = "3074257bf7194e4000001a85"


def test_tags_arrive_once_and_a_silent_reader_departs_nothing() -> None:
    shelf = Shelf()
    first = shelf.estimator.tag(TagRead("r1", 1, EPC, -50.0), shelf.now())
    assert first is not None
    assert [event.kind for event in first.events] == ["item.arrived"]
    shelf.t += 1
    assert shelf.estimator.tag(TagRead("r1", 1, EPC, -51.0), shelf.now()) is None
    shelf.t += 3600
    later = shelf.estimator.tick(shelf.now())
    assert "item.departed" not in [event.kind for event in (later.events if later else ())]


def test_a_reader_with_a_lost_antenna_departs_nothing_until_it_has_been_well_for_a_while() -> None:
    shelf = Shelf()
    behind_the_lost, heard = sgtin(TEA, 1), sgtin(TEA, 2)
    shelf.estimator.tag(TagRead("r1", 1, behind_the_lost, None), shelf.now())

    def second(*, lost: bool) -> list[str]:
        shelf.t += 1
        shelf.estimator.tag(TagRead("r1", 2, heard, None), shelf.now())
        if lost:
            shelf.estimator.device_lost("r1", shelf.now())
        effects = shelf.estimator.tick(shelf.now())
        return [event.kind for event in effects.events if "item" in event.kind] if effects else []

    assert not any(second(lost=True) for _ in range(300))
    told = [second(lost=False) for _ in range(130)]
    assert not any(told[:95])
    assert any("item.departed" in kinds for kinds in told)


def test_a_tag_unseen_by_a_working_reader_departs() -> None:
    shelf = Shelf()
    shelf.estimator.tag(TagRead("r1", 1, EPC, -50.0), shelf.now())
    kinds = []
    for _ in range(250):
        shelf.t += 0.5
        shelf.estimator.tag(TagRead("r1", 1, "e28011606000020a6681f23f", -50.0), shelf.now())
        effects = shelf.estimator.tick(shelf.now())
        kinds += [event.kind for event in effects.events if "item" in event.kind] if effects else []
    assert kinds == ["item.departed"]


def test_after_a_silence_the_same_plate_is_believed_again() -> None:
    shelf = Shelf()
    shelf.hold(10 * UNIT_G, 1)
    sure = shelf.told[-1]
    shelf.estimator.device_lost("s1", shelf.now())
    for _ in range(4000):
        shelf.t += 0.5
        shelf.note(shelf.estimator.tick(shelf.now()))
    assert shelf.told[-1].status == "unknown"
    shelf.hold(10 * UNIT_G, 2)
    again = shelf.told[-1]
    assert (again.on_hand, again.status, again.reasons, again.change) == (10, sure.status, [], 0)
    assert again.confidence > 0.9


def test_a_pick_after_a_silence_that_changed_nothing_is_a_pick() -> None:
    shelf = Shelf()
    shelf.hold(10 * UNIT_G, 1)
    shelf.t += 60
    shelf.hold(10 * UNIT_G, 60)
    shelf.hold(9 * UNIT_G, 1)
    assert shelf.last() == (9, -1, "pick")


def sgtin(gtin: str, serial: int) -> str:
    """SGTIN-96 of a GTIN with a seven-digit company prefix (GS1 TDS 14.6.1)."""
    company, item = int(gtin[1:8]), int(gtin[0] + gtin[8:13])
    return f"{0x30 << 88 | 1 << 85 | 5 << 82 | company << 58 | item << 38 | serial:024x}"


def count_by_tags(shelf: Shelf, *epcs: str) -> int | None:
    """What is counted once the reader has listened for half a minute."""
    for _ in range(30):
        shelf.t += 1
        for epc in epcs:
            shelf.note(shelf.estimator.tag(TagRead("r1", 1, epc, -50.0), shelf.now()))
        shelf.note(shelf.estimator.tick(shelf.now()))
    return shelf.estimator.beliefs["A1-02"].on_hand


def test_a_misplaced_tag_is_not_counted_as_the_facings_own_item() -> None:
    shelf = Shelf()
    assert count_by_tags(shelf, sgtin(TEA, 1), sgtin(COLA, 2), sgtin(TEA, 3)) == 2


def test_what_is_carried_to_the_back_room_counts_on_no_facing() -> None:
    shelf = Shelf()
    wiring = Wiring({}, {("r1", 1): "A1-02"}, {("r1", 4)})
    shelf.estimator = Estimator(planogram(), wiring)
    assert count_by_tags(shelf, sgtin(TEA, 1), sgtin(TEA, 2)) == 2
    shelf.t += 1
    moved = [
        effects
        for _ in range(3)
        if (effects := shelf.estimator.tag(TagRead("r1", 4, sgtin(TEA, 2), -40.0), shelf.now()))
    ]
    items = [
        (event.kind, event.body.facing)
        for effects in moved
        for event in effects.events
        if isinstance(event.body, ItemMoved)
    ]
    assert items == [("item.departed", "A1-02"), ("item.arrived", None)]
    assert [(move.arrived, move.facing) for move in moved[0].tags] == [(False, "A1-02"), (True, "")]
    assert shelf.estimator.beliefs["A1-02"].on_hand == 1
    assert shelf.estimator.presence.in_back_room(TEA) == 1


def test_what_lies_in_the_back_room_is_known_again_after_a_restart() -> None:
    shelf = Shelf()
    shelf.estimator = Estimator(planogram(), Wiring({}, {("r1", 1): "A1-02"}, {("r1", 4)}))
    shelf.estimator.restore_tag(epc=sgtin(TEA, 1), device="r1", facing="", mono_s=shelf.t)
    assert shelf.estimator.presence.in_back_room(TEA) == 1
    assert count_by_tags(shelf, sgtin(TEA, 2)) == 1


def test_restored_tags_count_on() -> None:
    shelf = Shelf()
    shelf.estimator.restore_tag(epc=sgtin(TEA, 1), device="r1", facing="A1-02", mono_s=shelf.t)
    assert count_by_tags(shelf, sgtin(TEA, 1), sgtin(TEA, 2)) == 2


def test_a_tag_at_a_facing_that_the_planogram_dropped_departs_quietly() -> None:
    shelf = Shelf()
    shelf.estimator.restore_tag(epc=sgtin(TEA, 1), device="r1", facing="gone", mono_s=shelf.t)
    kinds = []
    for _ in range(250):
        shelf.t += 0.5
        shelf.estimator.tag(TagRead("r1", 1, "e28011606000020a6681f23f", -50.0), shelf.now())
        effects = shelf.estimator.tick(shelf.now())
        kinds += [event.kind for event in effects.events if "item" in event.kind] if effects else []
    assert kinds == ["item.departed"]


def test_tags_count_where_the_plate_cannot() -> None:
    """Two items on one plate: their weight is not divided, so their tags are what there is."""
    shelf = Shelf()
    wiring = Wiring({("s1", None): ["A1-01", "A1-02"]}, {("r1", 1): "A1-02"})
    shelf.estimator = Estimator(planogram(), wiring)
    assert count_by_tags(shelf, sgtin(TEA, 1), sgtin(TEA, 2)) == 2


def test_a_shelf_that_changed_while_the_agent_was_down_is_one_correction() -> None:
    shelf, again = Shelf(), Shelf()
    shelf.hold(10 * UNIT_G, 1)
    shelf.hold(9 * UNIT_G, 1)
    again.estimator = Estimator(
        planogram(), Wiring({("s1", None): ["A1-01"]}, {}), shelf.estimator.beliefs.values()
    )
    again.estimator.restore_plate(shelf.kept[("s1", None)], again.now())
    again.hold(3 * UNIT_G, 5)
    assert [(body.on_hand, body.change, body.cause) for body in again.told] == [(3, -6, "correction")]


def both_on_one_plate() -> Shelf:
    shelf = Shelf()
    wiring = Wiring({("s1", None): ["A1-01", "A1-02"]}, {("r1", 1): "A1-02"})
    shelf.estimator = Estimator(planogram(), wiring)
    return shelf


def test_a_facing_whose_reader_is_silent_is_doubted_and_believed_again() -> None:
    shelf = Shelf()
    assert count_by_tags(shelf, sgtin(TEA, 1), sgtin(TEA, 2)) == 2
    sure = shelf.estimator.beliefs["A1-02"].confidence
    shelf.estimator.device_lost("r1", shelf.now())
    for _ in range(700):
        shelf.t += 0.5
        shelf.note(shelf.estimator.tick(shelf.now()))
    doubted = shelf.estimator.beliefs["A1-02"]
    assert (doubted.on_hand, doubted.reasons) == (2, ("stale",))
    assert doubted.confidence <= 0.7 < sure
    assert count_by_tags(shelf, sgtin(TEA, 1), sgtin(TEA, 2)) == 2
    assert shelf.estimator.beliefs["A1-02"].reasons == ()


def silent_scale_with_tags(tagged: float, gone: int) -> Belief:
    """Ten items, `tagged` of them with a tag; the scale falls silent, then `gone` tagged ones are taken."""
    shelf, tags = Shelf(tagged=tagged), round(10 * tagged)
    shelf.hold(10 * UNIT_G, 1)
    for second in range(700):
        left = gone if second > 60 else 0
        shelf.t += 0.5
        if second < 60:
            shelf.hold(10 * UNIT_G, 0.5)
        elif second == 60:
            shelf.estimator.device_lost("s1", shelf.now())
        for serial in range(left, tags):
            read = TagRead("r1", 2, sgtin(COLA, serial), -50.0)
            shelf.note(shelf.estimator.tag(read, shelf.now()))
        shelf.note(shelf.estimator.tick(shelf.now()))
    return shelf.estimator.beliefs["A1-01"]


def test_a_few_tags_do_not_make_a_silent_scale_believed() -> None:
    belief = silent_scale_with_tags(0.2, gone=0)
    assert belief.on_hand == 10
    assert belief.confidence <= 0.7
    assert "stale" in belief.reasons


def test_where_nearly_all_have_tags_they_count_on_while_the_scale_is_silent() -> None:
    belief = silent_scale_with_tags(1.0, gone=3)
    assert belief.on_hand == 7
    assert "stale" in belief.reasons
    assert belief.status == "ok"


def test_two_kinds_on_one_plate_are_counted_by_what_changes() -> None:
    """Three of the one weigh as much as five of the other, until there are too few of them to be so."""
    shelf, cola, tea = both_on_one_plate(), 12, 5
    shelf.hold(cola * UNIT_G + tea * 210.0, 2)
    for kind in "ctcctctcccccc":
        cola, tea = cola - (kind == "c"), tea - (kind == "t")
        shelf.hold(cola * UNIT_G + tea * 210.0, 2)
    beliefs = shelf.estimator.beliefs
    assert (beliefs["A1-01"].on_hand, beliefs["A1-02"].on_hand) == (cola, tea)
    assert min(beliefs["A1-01"].confidence, beliefs["A1-02"].confidence) > 0.9


def test_tags_tell_what_a_bag_on_the_plate_hides() -> None:
    """Somebody takes three and leaves a bag: weight cannot say how many, their tags' silence can."""
    shelf, present = Shelf(), [sgtin(COLA, serial) for serial in range(8)]

    def live(weight_g: float, seconds: int) -> None:
        for _ in range(seconds):
            shelf.hold(weight_g, 1)
            for epc in present:
                shelf.note(shelf.estimator.tag(TagRead("r1", 2, epc, -50.0), shelf.now()))
            shelf.note(shelf.estimator.tick(shelf.now()))

    live(8 * UNIT_G, 60)
    assert shelf.estimator.beliefs["A1-01"].sources == ("weight", "rfid")
    del present[5:]
    live(5 * UNIT_G + 1234.0, 2)
    assert shelf.estimator.beliefs["A1-01"].confidence < 0.9
    live(5 * UNIT_G + 1234.0, 60)
    hidden = shelf.estimator.beliefs["A1-01"]
    assert (hidden.on_hand, hidden.reasons) == (5, ("foreign_object",))
    assert hidden.confidence > 0.9
    live(5 * UNIT_G, 5)
    assert shelf.estimator.beliefs["A1-01"].on_hand == 5
    assert shelf.estimator.beliefs["A1-01"].reasons == ()


def test_an_item_of_the_shelf_in_the_wrong_place_is_named() -> None:
    plan = planogram()
    facings = [facing.model_copy(update={"shelf": "S1"}) for facing in plan.facings]
    shelf = Shelf()
    shelf.estimator = Estimator(
        Planogram(products=plan.products, facings=facings), Wiring({("s1", None): ["A1-01"]}, {})
    )
    shelf.hold(10 * UNIT_G, 2)
    shelf.hold(10 * UNIT_G + 210.0, 2)
    assert shelf.told[-1].reasons == ["misplaced"]
    assert shelf.estimator.beliefs["A1-01"].on_hand == 10


STEPS = st.one_of(
    st.tuples(st.just("weigh"), st.floats(-100, 12_000)),
    st.tuples(st.just("tag"), st.integers(0, 40)),
    st.tuples(st.just("wait"), st.floats(0.1, 400)),
    st.tuples(st.just("lose"), st.sampled_from(["s1", "r1"])),
)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=30), st.booleans())
def test_whatever_comes_in_whatever_order_beliefs_are_beliefs(
    steps: list[tuple[str, Any]], shared: bool
) -> None:
    shelf = both_on_one_plate() if shared else Shelf()
    for kind, value in steps:
        match kind:
            case "weigh":
                shelf.hold(value, 0.8)
            case "tag":
                epc = sgtin(TEA if value % 2 else COLA, value)
                shelf.note(shelf.estimator.tag(TagRead("r1", 1 + value % 2, epc, -50.0), shelf.now()))
            case "wait":
                shelf.t += value
            case _:
                shelf.estimator.device_lost(value, shelf.now())
        shelf.note(shelf.estimator.tick(shelf.now()))
        for belief in shelf.estimator.beliefs.values():
            assert 0.0 <= belief.confidence < 1.0
            assert belief.on_hand is None or belief.on_hand >= 0
    told = dict.fromkeys(shelf.estimator.beliefs, 0)
    for body in shelf.told:
        told[body.facing] += body.change
    assert told == {name: b.on_hand or 0 for name, b in shelf.estimator.beliefs.items()}
