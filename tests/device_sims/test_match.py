"""Moves and sightings pair up by place, kind, time and quantity."""

from datetime import UTC, datetime, timedelta

from device_sims.match import Happening, Sighting, match

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def happened(second: float, quantity: int = 1, key: str = "A1-01") -> Happening:
    return Happening(key, quantity, at(second), at(second + 0.5), at(second + 2))


def seen(second: float, quantity: int = 1, key: str = "A1-01") -> Sighting:
    return Sighting(key, quantity, at(second), at(second + 0.1))


def test_a_sighting_after_the_settling_is_a_hit() -> None:
    found = match([happened(10)], [seen(12.6)])
    assert (found.hit, found.missed, found.invented, found.f1) == (1, 0, 0, 1.0)


def test_too_early_too_late_and_elsewhere_are_misses() -> None:
    for wrong in (seen(8), seen(18.5), seen(12, key="A1-02")):
        found = match([happened(10)], [wrong])
        assert (found.hit, found.missed, found.invented, found.f1) == (0, 1, 1, 0.0)


def test_two_moves_in_one_settling_may_be_one_sighting() -> None:
    found = match([happened(10), happened(11)], [seen(13.5, 2)])
    assert (found.hit, found.missed, found.invented) == (2, 0, 0)


def test_one_move_told_in_two_pieces_counts_whole() -> None:
    found = match([happened(10, 6)], [seen(11, 2), seen(12.5, 4)])
    assert (found.hit, found.missed, found.invented) == (6, 0, 0)


def test_a_wrong_quantity_counts_for_what_it_got_right() -> None:
    found = match([happened(10, 3)], [seen(12, 2)])
    assert (found.hit, found.missed, found.precision, found.recall) == (2, 1, 1.0, 2 / 3)
    assert match([happened(10, 2)], [seen(12, 3)]).invented == 1


def test_a_sighting_told_twice_is_invented_once() -> None:
    assert match([happened(10)], [seen(12), seen(12.1)]).invented == 1


def test_nothing_at_all_has_no_score() -> None:
    assert match([], []).f1 is None
