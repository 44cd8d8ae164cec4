"""Why a facing is believed to hold what it does."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from device_sims.sgtin import sgtin96
from edge_agent.contract.messages import StockChanged
from edge_agent.contract.planogram import Facing, Planogram, Product
from edge_agent.moment import Moment
from edge_agent.readings import GapSeen, Reading, Recount, Sale, TagRead, WeightReading
from edge_agent.stock.account import Account
from edge_agent.stock.effects import Effects
from edge_agent.stock.estimate import Estimator
from edge_agent.stock.sensors import Wiring

COLA, TEA, GUM = "06901234567892", "06901234567885", "04006381333931"
UNIT_G = 352.0
START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
PLANOGRAM = Planogram(
    products=[
        Product(gtin=COLA, name="Cola", unit_weight_g=350.0, unit_weight_sd_g=1.8, tagged=0.95),
        Product(gtin=TEA, unit_weight_g=210.0),
        Product(gtin=GUM),
    ],
    facings=[
        Facing(id="A1", gtin=COLA, capacity=24, reorder_point=6),
        Facing(id="A2", gtin=TEA, capacity=10),
        Facing(id="A3", gtin=GUM, capacity=40),
    ],
)


class Shop:
    """One weighed facing with a reader, one on a plate that never speaks, one that nothing senses."""

    def __init__(self) -> None:
        plates = {("s1", None): ["A1"], ("s2", 1): ["A2"]}
        wiring = Wiring(plates, {("r1", 1): "A1"}, {("r1", 9)})
        self.estimator = Estimator(PLANOGRAM, wiring)
        self.random, self.t, self.told = random.Random(1), 100.0, list[StockChanged]()

    def now(self) -> Moment:
        return Moment(START + timedelta(seconds=self.t), self.t)

    def note(self, effects: Effects | None) -> None:
        for event in effects.events if effects else []:
            if isinstance(event.body, StockChanged):
                self.told.append(event.body)

    def hear(self, reading: Reading) -> None:
        match reading:
            case WeightReading():
                self.note(self.estimator.weight(reading, self.now()))
            case TagRead():
                self.note(self.estimator.tag(reading, self.now()))
            case GapSeen():
                self.note(self.estimator.gap(reading, self.now()))
            case Sale():
                self.note(self.estimator.sale(reading, self.now()))

    def hold(self, weight_g: float, seconds: float, *, tags: int = 0) -> None:
        for tenth in range(round(seconds * 10)):
            self.t += 0.1
            self.hear(WeightReading("s1", None, weight_g + self.random.gauss(0, 0.15), None))
            for serial in range(tags if tenth % 10 == 0 else 0):
                self.hear(TagRead("r1", 1, sgtin96(COLA, serial).lower(), -50.0))
            if tenth % 5 == 0:
                self.note(self.estimator.tick(self.now()))

    def account(self, name: str = "A1") -> Account:
        return self.estimator.accountant.of(self.estimator.beliefs[name], self.now())


def test_a_plate_at_rest_says_what_it_weighs_and_what_was_expected() -> None:
    shop = Shop()
    for count in (10, 9, 8, 7, 6):
        shop.hold(count * UNIT_G, 4)
    account, belief = shop.account(), shop.estimator.beliefs["A1"]
    assert (account.on_hand, account.confidence) == (belief.on_hand, belief.confidence) == (6, 0.999)
    assert account.counts[0].on_hand == 6
    [opinion] = account.alone
    assert (opinion.source, opinion.on_hand) == ("weight", 6)
    plate = account.plate
    assert plate is not None
    assert [one.device for one in plate.plates] == ["s1"]
    assert plate.weight_g is not None
    assert abs(plate.weight_g - 6 * UNIT_G) < 1
    assert plate.expected_g is not None
    assert abs(plate.expected_g - plate.weight_g) < 10
    [item] = plate.items
    assert item.printed_g == 350.0
    assert 350.5 < item.unit_g < UNIT_G + 1  # learnt from what was taken
    assert plate.foreign == [] or plate.foreign[0].probability < 0.05


def test_what_is_foreign_is_told_for_the_count_that_is_believed() -> None:
    shop = Shop()
    shop.hold(10 * UNIT_G, 10)
    shop.hold(10 * UNIT_G + 913, 10)
    account = shop.account()
    assert account.plate is not None
    if account.on_hand == 10:
        assert account.plate.foreign[0].probability > 0.9
        assert abs(account.plate.foreign_g - 913) < 30
    assert sum(chance.probability for chance in account.counts) <= 1.0001


def test_asking_changes_nothing() -> None:
    """One shop is asked all the time, the other never: both tell the same."""
    shops = Shop(), Shop()
    for asked, shop in zip((True, False), shops, strict=True):
        for step in range(8):
            shop.hold((10 - step) * UNIT_G, 3, tags=10 - step)
            shop.hear(GapSeen("cam", "A1", 0.5, gap=False))
            shop.hear(Sale("", f"r{step}", "1", GUM, 1))
            if step == 2:
                shop.note(shop.estimator.recount(Recount("A3", 20), shop.now()))
            shop.t += 600 if step == 4 else 0
            for name in ("A1", "A2", "A3") if asked else ():
                shop.account(name)
    assert shops[0].told == shops[1].told
    assert shops[0].estimator.beliefs == shops[1].estimator.beliefs


def test_a_facing_of_which_nothing_has_spoken_has_an_account_too() -> None:
    shop = Shop()
    account = shop.account("A2")
    assert (account.on_hand, account.counts, account.alone, account.tags) == (None, [], [], None)
    assert account.plate is not None
    assert (account.plate.weight_g, account.plate.expected_g, account.plate.items) == (None, None, [])
    assert shop.account("A3").plate is None


def test_a_camera_that_spoke_before_the_touch_speaks_no_more() -> None:
    shop = Shop()
    shop.hold(10 * UNIT_G, 5, tags=10)
    shop.hear(GapSeen("cam", "A1", 0.4, gap=False))
    shop.t += 1
    [verdict] = shop.account().cameras
    assert (verdict.device, verdict.age_s, verdict.speaks) == ("cam", 1.0, True)
    shop.hold(9 * UNIT_G, 5, tags=9)
    [verdict] = shop.account().cameras
    assert not verdict.speaks


def test_tags_are_told_as_heard_silent_and_without() -> None:
    shop = Shop()
    shop.hold(10 * UNIT_G, 40, tags=9)
    shop.hold(9 * UNIT_G, 40, tags=8)
    tags = shop.account().tags
    assert tags is not None
    assert (tags.readers, tags.listening, tags.tagged) == (["r1"], True, 0.95)
    assert tags.heard == 8
    assert (tags.known_items, tags.without_tag) in ((10, 1), (9, 1))
    assert tags.doubt < 0.2
    assert shop.account().in_back_room == 0
    shop.hear(TagRead("r1", 9, sgtin96(COLA, 77).lower(), -50.0))
    assert shop.account().in_back_room == 1
