"""Recounts, sales, deliveries and cameras: what moves a belief beside scales and readers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.messages import GapMoved, StockChanged
from edge_agent.contract.planogram import Facing, Planogram, Product
from edge_agent.moment import Moment
from edge_agent.readings import Delivery, GapSeen, Recount, Sale, WeightReading
from edge_agent.stock.effects import Effects
from edge_agent.stock.estimate import Estimator
from edge_agent.stock.sensors import Wiring

COLA, TEA = "06901234567892", "06901234567885"
UNIT_G = 352.0
START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


class Store:
    """Cola on a plate (A1-01), tea where nothing counts it (A1-02), each told event in `told`."""

    def __init__(self) -> None:
        self.planogram = Planogram(
            products=[
                Product(gtin=COLA, unit_weight_g=UNIT_G, unit_weight_sd_g=1.8),
                Product(gtin=TEA, unit_weight_g=210.0),
            ],
            facings=[
                Facing(id="A1-01", gtin=COLA, capacity=24, reorder_point=6),
                Facing(id="A1-02", gtin=TEA, capacity=10, reorder_point=2),
            ],
        )
        self.wiring = Wiring({("s1", None): ["A1-01"]}, {})
        self.estimator = Estimator(self.planogram, self.wiring)
        self.t, self.lines = 100.0, 0
        self.told: list[StockChanged] = []
        self.gaps: list[tuple[str, str]] = []

    def now(self) -> Moment:
        return Moment(START + timedelta(seconds=self.t), self.t)

    def note(self, effects: Effects | None) -> None:
        for event in effects.events if effects else ():
            if isinstance(event.body, StockChanged):
                self.told.append(event.body)
            if isinstance(event.body, GapMoved):
                self.gaps.append((event.kind, event.body.facing))

    def hold(self, weight_g: float, seconds: float = 2.0) -> None:
        for _ in range(round(seconds * 10)):
            self.t += 0.1
            self.note(self.estimator.weight(WeightReading("s1", None, weight_g, None), self.now()))

    def recount(self, facing: str, on_hand: int) -> None:
        self.note(self.estimator.recount(Recount(facing, on_hand), self.now()))

    def sell(self, gtin: str, quantity: int = 1, *, ago: timedelta | None = None) -> None:
        self.lines += 1
        at = None if ago is None else self.now().at - ago
        self.note(self.estimator.sale(Sale("", "r", str(self.lines), gtin, quantity, at), self.now()))

    def deliver(self, gtin: str, quantity: int, facing: str | None) -> None:
        self.lines += 1
        line = Delivery("", "d", str(self.lines), gtin, quantity, facing)
        self.note(self.estimator.delivery(line, self.now()))

    def see(self, *, gap: bool, fill: float, facing: str = "A1-02") -> None:
        self.note(self.estimator.gap(GapSeen("cam", facing, fill, gap, self.now().at), self.now()))

    def last(self) -> tuple[int | None, int, str]:
        return self.told[-1].on_hand, self.told[-1].change, self.told[-1].cause


def test_a_recount_bases_a_weighed_facing_anew_and_changes_go_on_from_there() -> None:
    store = Store()
    store.hold(10 * UNIT_G)
    store.recount("A1-01", 9)
    assert store.last() == (9, -1, "recount")
    assert store.told[-1].reasons == ["foreign_object", "recount"], "what else weighs one item there"
    store.hold(9 * UNIT_G)
    assert store.last() == (8, -1, "pick")
    assert "recount" not in store.told[-1].reasons


def test_a_recount_that_agrees_makes_sure_and_changes_nothing() -> None:
    store = Store()
    store.hold(10 * UNIT_G)
    store.recount("A1-01", 10)
    assert store.last() == (10, 0, "recount")
    assert store.told[-1].confidence > 0.99


def test_a_recount_while_somebody_is_at_the_plate_counts_too() -> None:
    store = Store()
    store.hold(10 * UNIT_G)
    store.hold(9.4 * UNIT_G, 0.2)
    store.recount("A1-01", 12)
    assert store.last() == (12, 2, "recount")


def test_a_facing_that_nothing_counts_is_unknown_until_somebody_does() -> None:
    store = Store()
    assert store.estimator.beliefs["A1-02"].on_hand is None
    store.recount("A1-02", 8)
    assert store.last() == (8, 8, "recount")
    assert store.told[-1].confidence > 0.95
    store.sell(TEA, 3)
    assert store.last() == (5, -3, "sale")
    store.deliver(TEA, 4, "A1-02")
    assert store.last() == (9, 4, "restock")
    store.deliver(TEA, 40, None)
    assert store.last() == (9, 4, "restock"), "the back room is on no facing"
    store.sell(TEA, -1)
    assert store.last() == (10, 1, "return")


def test_a_line_that_comes_late_is_in_the_count_that_was_made_since() -> None:
    store = Store()
    store.recount("A1-02", 8)
    store.sell(TEA, 2, ago=timedelta(hours=3))
    assert store.last() == (8, 8, "recount")
    store.sell(TEA, 2, ago=timedelta(seconds=20))
    store.sell(TEA, 1, ago=timedelta(days=4000))
    assert store.last() == (5, -1, "sale"), "just before, or by a clock that is wrong"


def test_a_line_before_the_first_count_counts_nothing() -> None:
    store = Store()
    store.sell(TEA)
    store.deliver(TEA, 6, "A1-02")
    assert store.told == []
    assert store.estimator.beliefs["A1-02"].on_hand is None


def test_what_was_seen_taken_from_one_place_is_not_sold_from_another() -> None:
    """Cola on a plate and, not counted by anything, beside the till."""
    store = Store()
    store.planogram.facings.append(Facing(id="T1", gtin=COLA, capacity=20))
    store.estimator = Estimator(store.planogram, store.wiring)
    store.recount("T1", 15)
    store.hold(10 * UNIT_G)
    store.hold(8 * UNIT_G)
    store.sell(COLA, 3)
    beliefs = store.estimator.beliefs
    assert (beliefs["A1-01"].on_hand, beliefs["T1"].on_hand) == (8, 14)


def test_a_restart_takes_nothing_from_what_was_counted_by_hand() -> None:
    store = Store()
    store.recount("A1-02", 8)
    beliefs = list(store.estimator.beliefs.values())
    for boot in range(5):
        store = Store()
        store.t = 2e6 + boot
        store.estimator = Estimator(store.planogram, store.wiring, beliefs)
        store.see(gap=False, fill=0.7)
        beliefs = list(store.estimator.beliefs.values())
    assert store.estimator.beliefs["A1-02"].on_hand == 8


def test_a_camera_that_looks_now_and_then_does_not_flicker() -> None:
    store = Store()
    store.hold(10 * UNIT_G)
    for _ in range(10):
        store.see(gap=False, fill=0.5, facing="A1-01")
        store.hold(10 * UNIT_G, 300)
    assert len(store.told) == 2, "its first count, and once that a camera speaks too"


def test_a_count_by_hand_is_believed_less_with_each_line_and_each_day() -> None:
    store = Store()
    store.recount("A1-02", 8)
    sure = store.estimator.beliefs["A1-02"].confidence
    for _ in range(4):
        store.sell(TEA)
    after = store.estimator.beliefs["A1-02"].confidence
    store.t += 5 * 86_400
    store.see(gap=False, fill=0.5)
    assert sure > after > store.estimator.beliefs["A1-02"].confidence


def test_what_was_counted_by_hand_survives_a_restart() -> None:
    store = Store()
    store.recount("A1-02", 8)
    store.sell(TEA)
    again = Store()
    again.estimator = Estimator(again.planogram, again.wiring, store.estimator.beliefs.values())
    again.sell(TEA)
    assert again.last() == (6, -1, "sale")


def test_a_count_by_hand_before_the_first_weight_is_not_forgotten() -> None:
    """Something heavy lies on the plate: weight alone would count 14."""
    store = Store()
    store.recount("A1-01", 10)
    assert store.last() == (10, 10, "recount")
    store.hold(10 * UNIT_G + 4 * UNIT_G - 20)
    belief = store.estimator.beliefs["A1-01"]
    assert (belief.on_hand, belief.reasons) == (10, ("foreign_object", "recount"))


def test_a_sale_of_what_a_scale_counts_is_no_second_change() -> None:
    store = Store()
    store.hold(10 * UNIT_G)
    store.hold(9 * UNIT_G)
    store.sell(COLA)
    assert store.last() == (9, -1, "pick")


def test_a_sale_that_nobody_saw_leave_decides_what_a_bag_made_doubtful() -> None:
    """A bag comes as one item goes, two at most or none: then the till has two."""
    store = Store()
    store.hold(20 * UNIT_G, 1900.0)
    store.hold(18 * UNIT_G + 1500.0)
    before = store.estimator.beliefs["A1-01"]
    assert before.confidence < 0.8
    on_hand = before.on_hand or 0
    store.t += 1
    while (store.estimator.beliefs["A1-01"].on_hand or 0) >= on_hand and store.lines < 6:
        store.sell(COLA)
    assert store.estimator.beliefs["A1-01"].on_hand == on_hand - 1


def test_a_gap_is_told_once_and_makes_a_facing_out() -> None:
    store = Store()
    store.recount("A1-02", 1)
    store.see(gap=False, fill=0.3)
    store.sell(TEA)
    for _ in range(3):
        store.t += 5
        store.see(gap=True, fill=0.0)
    assert store.gaps == [("gap.opened", "A1-02")]
    belief = store.estimator.beliefs["A1-02"]
    assert (belief.on_hand, belief.status, belief.sources) == (0, "out", ("camera",))
    store.see(gap=False, fill=0.8)
    assert store.gaps[1:] == [("gap.closed", "A1-02")]


def test_a_camera_alone_tells_empty_from_not_empty() -> None:
    store = Store()
    store.see(gap=True, fill=0.0)
    assert store.estimator.beliefs["A1-02"].status == "out"
    assert 0.6 < store.estimator.beliefs["A1-02"].confidence < 0.9
    store.see(gap=False, fill=0.9)
    belief = store.estimator.beliefs["A1-02"]
    assert belief.status == "ok"
    assert belief.confidence < 0.5


def test_an_open_gap_is_not_opened_again_by_a_restart() -> None:
    store = Store()
    store.see(gap=True, fill=0.0)
    again = Store()
    again.estimator = Estimator(again.planogram, again.wiring, store.estimator.beliefs.values())
    again.see(gap=True, fill=0.0)
    assert again.gaps == []
    again.see(gap=False, fill=1.0)
    assert again.gaps == [("gap.closed", "A1-02")]


def test_what_names_no_facing_of_this_store_moves_nothing() -> None:
    store = Store()
    for effects in (
        store.estimator.recount(Recount("B9", 3), store.now()),
        store.estimator.sale(Sale("", "r", "1", "00000000000017", 1), store.now()),
        store.estimator.delivery(Delivery("", "d", "1", TEA, 5, "B9"), store.now()),
        store.estimator.gap(GapSeen("cam", "B9", 0.0, True, START), store.now()),
    ):
        assert effects is None


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("recount"), st.integers(0, 20)),
            st.tuples(st.just("sell"), st.integers(-3, 6).filter(bool)),
            st.tuples(st.just("deliver"), st.integers(1, 12)),
            st.tuples(st.just("see"), st.integers(0, 1)),
            st.tuples(st.just("wait"), st.integers(1, 100_000)),
        ),
        max_size=25,
    )
)
def test_whatever_is_told_in_whatever_order_changes_add_up(steps: list[tuple[str, int]]) -> None:
    store = Store()
    for what, number in steps:
        if what == "recount":
            store.recount("A1-02", number)
        elif what == "sell":
            store.sell(TEA, number)
        elif what == "deliver":
            store.deliver(TEA, number, "A1-02")
        elif what == "see":
            store.see(gap=bool(number), fill=1.0 - number)
        else:
            store.t += number
        belief = store.estimator.beliefs["A1-02"]
        assert 0.0 <= belief.confidence <= 1.0
        assert sum(body.change for body in store.told) == (belief.on_hand or 0)
        if belief.interval is not None and belief.on_hand is not None:
            low, high = belief.interval
            assert 0 <= low <= high <= 20
