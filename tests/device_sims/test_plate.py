"""The load cell's imperfections have the sizes that the scenario asks for."""

import itertools
from statistics import fmean, pstdev

from device_sims.indicator import Indicator
from device_sims.noise import Noise
from device_sims.plate import Plate

NOISE = Noise()


def plates(count: int = 20) -> list[Plate]:
    return [Plate(NOISE, f"test/{n}") for n in range(count)]


def test_a_plate_at_rest_has_only_the_sample_noise_of_a_load_cell() -> None:
    for plate in plates():
        plate.lay(2000.0)
        samples = [plate.weight_g(n * 0.04) for n in range(250)]
        assert 0.09 <= pstdev(samples) <= 0.25
        assert abs(fmean(samples) - 2000.0) < 2.0


def test_a_change_of_load_swings_and_settles_within_its_time() -> None:
    for plate in plates():
        plate.lay(2000.0)
        plate.weight_g(9.9)
        rest_s = plate.change(10.0, -350.0) - 10.0
        assert rest_s <= NOISE.settling_s[1]
        moving = [plate.weight_g(10.0 + n * 0.02) for n in range(15)]
        assert max(moving) - min(moving) > 3.0
        still = [plate.weight_g(10.0 + rest_s + n * 0.04) for n in range(50)]
        assert max(still) - min(still) < 3.0
        assert abs(fmean(still) - 1650.0) < 2.0


def test_a_hand_presses_only_while_it_is_there() -> None:
    plate = plates(1)[0]
    plate.lay(500.0)
    plate.touch(5.0, 6.0)
    assert abs(plate.weight_g(4.9) - 500.0) < 2.0
    assert plate.weight_g(5.5) - 500.0 > 20.0
    assert abs(plate.weight_g(6.1) - 500.0) < 2.0


def test_sampling_more_often_does_not_change_how_a_plate_swings() -> None:
    seldom, often = Plate(NOISE, "same"), Plate(NOISE, "same")
    for n in range(100):
        often.weight_g(n * 0.05)
    assert seldom.change(10.0, 100.0) == often.change(10.0, 100.0)


def test_an_hour_drifts_by_grams_not_by_items() -> None:
    drifts = []
    for plate in plates(40):
        before = plate.weight_g(0.0)
        drifts.append(plate.weight_g(3600.0) - before)
    assert 2.0 <= pstdev(drifts) <= 7.0


def test_the_indicator_calls_a_moving_plate_unstable_and_a_still_one_stable() -> None:
    plate = Plate(NOISE, "indicator")
    plate.lay(1000.0)
    indicator = Indicator(plate, max_g=15_000)
    assert indicator.read(1.0).stable
    rest_s = plate.change(1.0, 300.0)
    assert not indicator.read(1.2).stable
    shown = indicator.read(rest_s + 1.0)
    assert shown.stable
    assert abs(shown.weight_g - 1300.0) < 2.0


def test_a_compressor_sways_a_plate_for_a_while_and_lets_it_rest_again() -> None:
    shaken = Noise(vibration_g=8.0, drift_g_per_sqrt_h=0.0)
    for number in range(5):
        plate = Plate(shaken, f"test/{number}")
        plate.lay(1000.0)
        off_g = [abs(plate.weight_g(n * 0.1) - 1000.0) for n in range(12_000)]
        sways = [max(off_g[n : n + 20]) > 4.0 for n in range(0, 12_000, 20)]
        assert 7.0 < max(off_g) < 10.0
        assert 0.04 < sum(sways) / len(sways) < 0.36
        began = sum(now and not before for before, now in itertools.pairwise(sways))
        assert 2 <= began <= 8


def test_vibration_changes_nothing_else_about_a_plate() -> None:
    still, shaken = Plate(NOISE, "same"), Plate(Noise(vibration_g=5.0), "same")
    off_g = [shaken.weight_g(n * 0.5) - still.weight_g(n * 0.5) for n in range(1000)]
    assert sum(off == 0 for off in off_g) > 500
    assert max(off_g) <= 5.0
    assert shaken.change(600.0, 100.0) == still.change(600.0, 100.0)


def test_the_indicator_knows_its_range() -> None:
    plate = Plate(NOISE, "range")
    plate.lay(16_000.0)
    assert Indicator(plate, max_g=15_000).read(1.0).load == "over"
    plate.lay(-400.0)
    assert Indicator(plate, max_g=15_000).read(2.0).load == "under"
