"""The simulated counter scales' dialogues, byte for byte as the manuals and public examples word them."""

import pytest

from device_sims.indicator import Indicator
from device_sims.noise import Noise
from device_sims.parity import EvenParity, with_even_parity
from device_sims.plate import Plate
from device_sims.toledo_8217 import NciScale, Toledo8217Scale

STILL = Noise(sample_sd_g=(0.0, 0.0), drift_g_per_sqrt_h=0, creep_share=0, temperature_swing_c=0)


class Bench:
    """A plate and a clock under the test's control, for scales of either kind."""

    def __init__(self, load_g: float) -> None:
        self.now_s = 1.0
        self.plate = Plate(STILL, "b")
        self.plate.lay(load_g)
        self.indicator = Indicator(self.plate, max_g=15_000)

    def clock(self) -> float:
        return self.now_s

    def toledo(self, **options: object) -> Toledo8217Scale:
        return Toledo8217Scale(self.indicator, clock=self.clock, **options)  # type: ignore[arg-type]  # as given

    def nci(self, **options: object) -> NciScale:
        return NciScale(self.indicator, clock=self.clock, **options)  # type: ignore[arg-type]  # as given


@pytest.mark.parametrize(
    ("load_g", "answer"),
    [
        (1250, b"\x0201.250\r"),
        (1253, b"\x0201.255\r"),
        (0, b"\x0200.000\r"),
        (15_001, b"\x02?\x0a\r"),  # over capacity, outside the zero range
    ],
)
def test_w_answers_with_all_leading_zeros_or_why_not(load_g: float, answer: bytes) -> None:
    assert Bench(load_g).toledo().feed(b"W") == answer


def test_line_ends_behind_a_command_are_no_commands() -> None:
    assert Bench(1250).toledo().feed(b"\x57\x0d\x0a") == b"\x0201.250\r"


def test_pounds_have_two_decimals() -> None:
    assert Bench(1250).toledo(unit="lb", division=0.01).feed(b"W") == b"\x0202.76\r"


def test_below_zero_is_under_and_a_tare_makes_it_net() -> None:
    bench = Bench(200)
    scale = bench.toledo()
    assert scale.feed(b"T") == b""
    bench.now_s += 0.2
    assert scale.tick() == b"\x02?\x20\r"
    assert scale.feed(b"W") == b"\x0200.000N\r"
    bench.now_s += 1
    bench.plate.lay(100)
    assert scale.feed(b"W") == b"\x02?\x24\r"
    assert scale.feed(b"C") == b"\x02?\x00\r"
    assert scale.feed(b"W") == b"\x0200.100\r"


def test_a_preset_tare_is_five_digits() -> None:
    scale = Bench(1450).toledo()
    assert scale.feed(b"T00200W") == b"\x02?\x28\r\x0201.250N\r"


def test_zero_takes_away_a_small_load_only() -> None:
    bench = Bench(50)
    scale = bench.toledo()
    assert scale.feed(b"ZW") == b"\x02?\x10\r\x0200.000\r"
    bench.now_s += 1
    bench.plate.lay(1050)
    assert scale.feed(b"ZW") == b"\x02?\x08\r\x0201.000\r"


def test_motion_is_a_status_and_rice_lake_always_sets_bits_5_and_6() -> None:
    bench = Bench(1250)
    bench.plate.touch(0.0, 100.0)
    assert bench.toledo().feed(b"W")[2] & 1
    assert Bench(-100).toledo(always_one=True).feed(b"W") == b"\x02?\x64\r"


def test_a_bad_command_says_so_and_changes_nothing() -> None:
    assert Bench(1250).toledo().feed(b"XW") == b"\x02?\x48\r\x0201.250\r"


def test_echo_mode_ends_with_f() -> None:
    scale = Bench(1250).toledo()
    assert scale.feed(b"Ehello") == b"\x02E\rhello"
    assert scale.feed(b"FW") == b"\x0201.250\r"


def test_the_confidence_test_passes_once() -> None:
    assert Bench(0).toledo().feed(b"ABB") == b"\x02\r\x02?@\r\x02?\0\r"


def test_parity_makes_the_ones_even_and_commands_with_parity_are_understood() -> None:
    answer = EvenParity(Bench(1250).toledo()).feed(with_even_parity(b"W"))
    assert bytes(byte & 0x7F for byte in answer) == b"\x0201.250\r"
    assert all(byte.bit_count() % 2 == 0 for byte in answer)


def test_nci_answers_with_unit_and_status() -> None:
    bench = Bench(1250)
    assert bench.nci().feed(b"W\r") == b"\n01.250KG\r\nS00\r\x03"
    assert (
        bench.nci(prefix="", unit="lb", division=0.01).feed(b"W\rS\r") == b"\n02.76LB\r\n00\r\x03\n00\r\x03"
    )


def test_nci_sends_its_status_alone_when_it_cannot_weigh() -> None:
    assert Bench(15_001).nci().feed(b"W\r") == b"\nS02\r\x03"
    assert Bench(-100).nci().feed(b"W\r") == b"\nS01\r\x03"
    assert Bench(0).nci().feed(b"S\r") == b"\nS20\r\x03"


def test_nci_net_has_a_third_status_byte() -> None:
    bench = Bench(200)
    scale = bench.nci()
    scale.feed(b"T\r")
    assert scale.feed(b"W\r") == b"\n00.000KG\r\nS0p4\r\x03"


def test_nci_does_not_know_other_commands() -> None:
    assert Bench(0).nci().feed(b"Q\r") == b"\n?\r\x03"
