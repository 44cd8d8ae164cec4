"""A plate's hypotheses: what changes and whole weights say together."""

from __future__ import annotations

import random
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.stock import kept
from edge_agent.stock.hypothesis import OTHER, Item, nominal_g
from edge_agent.stock.plate_belief import PlateBelief

COLA = Item("A1", "cola", 352.0, 3.5, 24)
TEA = Item("A2", "tea", 215.0, 2.0, 20)


def most(belief: PlateBelief, item: int = 0) -> tuple[int, float]:
    shares = belief.distribution(item)
    best = max(shares, key=lambda n: shares[n])
    return best, shares[best]


def foreign(belief: PlateBelief) -> dict[str, float]:
    return belief.foreign(0, most(belief)[0])


@given(n=st.integers(0, 24), noise=st.floats(-3, 3))
def test_the_first_weight_finds_every_count_of_a_sound_plate(n: int, noise: float) -> None:
    belief = PlateBelief([COLA])
    belief.weigh(n * 352.0 + noise, 0.0)
    assert most(belief)[0] == n
    assert most(belief)[1] > 0.9


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-50, 20_000), st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_whatever_a_plate_says_probabilities_are_some(steps: list[tuple[float, bool, bool]]) -> None:
    belief = PlateBelief([COLA, TEA], {"milk": (263.0, 3.0)})
    for number, (weight_g, touched, unseen) in enumerate(steps):
        if touched:
            belief.weigh(weight_g, 60.0 * number, unseen=unseen)
        else:
            belief.rest(weight_g, 60.0 * number)
        for item in (0, 1):
            shares = belief.distribution(item)
            if shares:
                assert sum(shares.values()) == pytest.approx(1.0)
                assert all(0 <= n <= belief.items[item].most for n in shares)
                assert all(sum(belief.foreign(item, n).values()) <= 1.0 + 1e-9 for n in shares)


def test_changes_keep_a_count_that_the_whole_weight_would_lose() -> None:
    """A unit weight 2 % off: from 25 pieces on division is wrong, the sum of what was seen is not."""
    draw, item = random.Random(1), Item("A1", "sweets", 100.0, 1.0, 40)
    belief, pieces = PlateBelief([item]), list[float]()
    belief.weigh(0.0, 0.0)
    wrong = 0
    for step in range(1, 41):
        pieces.append(draw.gauss(102.0, 1.0))
        weight_g = sum(pieces) + draw.gauss(0, 0.3)
        belief.weigh(weight_g, 60.0 * step)
        assert most(belief)[0] == len(pieces)
        wrong += round(weight_g / 100.0) != len(pieces)
    assert wrong > 10
    assert belief.unit_weight_g(0) == pytest.approx(102.0, abs=0.4)


def test_drift_is_no_item() -> None:
    belief, weight_g = PlateBelief([Item("A1", "sachet", 12.0, 0.1, 40)]), 20 * 12.0
    belief.weigh(weight_g, 0.0)
    for step in range(1, 240):
        weight_g += 0.1  # 24 g in two hours, two sachets
        belief.rest(weight_g, 30.0 * step)
    assert most(belief)[0] == 20


def test_what_lies_there_and_goes_again_leaves_the_count_as_it_was() -> None:
    belief = PlateBelief([COLA])
    belief.weigh(10 * 352.0, 0.0)
    belief.weigh(10 * 352.0 + 817.0, 60.0)
    assert foreign(belief)[OTHER] > 0.9
    assert most(belief)[1] < 0.9
    belief.weigh(9 * 352.0 + 817.0, 120.0)
    belief.weigh(9 * 352.0, 180.0)
    assert most(belief)[0] == 9
    assert most(belief)[1] > 0.99
    assert sum(foreign(belief).values()) < 0.01


def test_a_neighbours_item_is_known_by_its_weight() -> None:
    belief = PlateBelief([COLA], {"milk": (263.0, 3.0), "tea": (215.0, 2.0)})
    belief.weigh(10 * 352.0, 0.0)
    belief.weigh(10 * 352.0 + 263.5, 60.0)
    assert foreign(belief)["milk"] > 0.7
    assert most(belief)[0] == 10
    belief.weigh(9 * 352.0 + 263.5, 120.0)
    assert most(belief)[0] == 9


def test_two_kinds_on_one_plate_are_told_apart_by_what_changes() -> None:
    draw, belief = random.Random(2), PlateBelief([COLA, TEA])
    counts = [12, 9]
    belief.weigh(12 * 352.0 + 9 * 215.0, 0.0)
    for step in range(1, 60):
        index = draw.randrange(2)
        counts[index] += -1 if counts[index] > 2 else 3
        belief.weigh(counts[0] * 352.0 + counts[1] * 215.0 + draw.gauss(0, 0.5), 60.0 * step)
    assert [most(belief, 0)[0], most(belief, 1)[0]] == counts


def test_what_happened_while_nobody_looked_may_be_anything() -> None:
    belief = PlateBelief([COLA])
    belief.weigh(20 * 352.0, 0.0)
    belief.weigh(3 * 352.0, 7200.0, unseen=True)
    assert most(belief)[0] == 3
    assert most(belief)[1] > 0.95


@pytest.mark.parametrize("seed", range(3))
def test_of_the_counts_called_sure_as_many_are_right(seed: int) -> None:
    """A drawn store whose spread, bias and drift are not those that the belief supposes."""
    draw = random.Random(seed)
    sure = right = 0
    for _ in range(60):
        unit_g, capacity = draw.uniform(40, 500), draw.randint(6, 24)
        cv, true_g = draw.uniform(0.005, 0.02), unit_g * (1 + draw.gauss(0, 0.008))
        belief = PlateBelief([Item("A1", "x", unit_g, 0.01 * unit_g, capacity)])
        pieces = [draw.gauss(true_g, cv * unit_g) for _ in range(capacity)]
        zero_g = draw.gauss(0, 3.0)
        for step in range(30):
            belief.weigh(sum(pieces) + zero_g + draw.gauss(0, 0.3), 600.0 * step)
            zero_g += draw.gauss(0, 2.0)
            best, confidence = most(belief)
            if confidence >= 0.95:
                sure, right = sure + 1, right + (best == len(pieces))
            if draw.random() < 0.25 or len(pieces) < 3:
                pieces += [draw.gauss(true_g, cv * unit_g) for _ in range(capacity - len(pieces))]
            else:
                del pieces[: draw.choice((1, 1, 2))]
    assert sure > 1500
    assert right / sure >= 0.97


def test_a_belief_survives_being_written_and_read() -> None:
    belief = PlateBelief([COLA, TEA], {"milk": (263.0, 3.0)})
    for number, weight_g in enumerate((8000.0, 7650.0, 7400.0, 8200.0)):
        belief.weigh(weight_g, 60.0 * number)
    text = kept.write(belief)
    again = PlateBelief([COLA, TEA], {"milk": (263.0, 3.0)})
    assert kept.read(text, again, 180.0)
    for item in (0, 1):
        for n, share in belief.distribution(item).items():
            assert again.distribution(item).get(n, 0.0) == pytest.approx(share, abs=0.01)
    for one in (belief, again):
        one.weigh(7800.0, 240.0)
    assert most(again) == pytest.approx(most(belief), abs=0.02)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '[[["A1","cola",352.0]],[]]', '[[["A1","tea",215.0]],[[[1],null,1.0,[],[]]]]']
)
def test_what_is_no_belief_about_these_items_is_not_taken(text: str) -> None:
    belief = PlateBelief([COLA])
    assert not kept.read(text, belief, 0.0)
    assert belief.hypotheses == []


def test_a_belief_is_at_most_a_few_kilobytes() -> None:
    draw, belief = random.Random(3), PlateBelief([COLA, TEA], {f"n{i}": (100.0 + i, 5.0) for i in range(6)})
    for number in range(40):
        belief.weigh(draw.uniform(0, 9000), 60.0 * number)
        assert len(belief.hypotheses) <= 16
        assert len(kept.write(belief)) < 20_000
        assert sum(exp(one.log_weight) for one in belief.hypotheses) == pytest.approx(1.0)


@pytest.mark.parametrize("unit_g", [10.0, 200.0])
def test_a_plate_that_was_tared_with_its_tray_and_begins_without_it(unit_g: float) -> None:
    belief = PlateBelief([Item("A1", "x", unit_g, 0.01 * unit_g, 20)])
    belief.weigh(-700.0, 0.0)
    belief.weigh(0.0, 60.0)
    assert sum(belief.distribution(0).values()) == pytest.approx(1.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([(1000.0, 50.0, 30), (352.0, 3.5, 24), (20.0, 1.0, 60)]))
def test_what_is_kept_can_be_gone_on_with(seed: int, kind: tuple[float, float, int]) -> None:
    unit_g, sd_g, capacity = kind
    draw, belief = random.Random(seed), PlateBelief([Item("A1", "x", unit_g, sd_g, capacity)])
    for step in range(8):
        n = draw.randint(0, capacity)
        again = PlateBelief(belief.items)
        belief.weigh(n * unit_g * 1.02 + draw.gauss(0, 1), 60.0 * step)
        assert kept.read(kept.write(belief), again, 60.0 * step)
        belief = again
    assert sum(belief.distribution(0).values()) == pytest.approx(1.0)


def test_counts_that_have_no_room_any_more_are_not_restored() -> None:
    belief = PlateBelief([COLA])
    belief.weigh(20 * 352.0, 0.0)
    smaller = PlateBelief([Item("A1", "cola", 352.0, 3.5, 6)])
    assert not kept.read(kept.write(belief), smaller, 0.0)
    assert smaller.hypotheses == []


def test_three_kinds_of_sixty_begin_with_what_weighs_so_much() -> None:
    items = [Item(f"A{n}", f"g{n}", 100.0 + 37 * n, 1.0 + n, 60) for n in range(3)]
    belief = PlateBelief(items)
    weight_g = 20 * 100.0 + 30 * 137.0 + 10 * 174.0
    belief.weigh(weight_g, 0.0)
    assert nominal_g(belief.hypotheses[0].counts, items) == pytest.approx(weight_g, abs=30.0)
