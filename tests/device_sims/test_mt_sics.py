"""The simulated scale's dialogue, line by line as the MT-SICS manual words it."""

import re

import pytest

from device_sims.indicator import Indicator
from device_sims.mt_sics import MtSicsScale
from device_sims.noise import Noise
from device_sims.plate import Plate


class Bench:
    """A scale with a plate and a clock under the test's control."""

    def __init__(self) -> None:
        self.now_s = 1.0
        self.plate = Plate(
            Noise(sample_sd_g=(0.0, 0.0), drift_g_per_sqrt_h=0, creep_share=0, temperature_swing_c=0), "b"
        )
        indicator = Indicator(self.plate, max_g=15_000)
        self.scale = MtSicsScale(indicator, serial="B0001", decimals=1, clock=lambda: self.now_s)

    def ask(self, command: str) -> str:
        return self.scale.feed(command.encode() + b"\r\n").decode()

    def later(self, seconds: float) -> str:
        self.now_s += seconds
        return self.scale.tick().decode()


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.plate.lay(1234.5)
    return bench


def test_power_on_sends_the_serial_number_unasked(bench: Bench) -> None:
    assert bench.scale.power_on() == b'I4 A "B0001"\r\n'


def test_a_stable_weight_is_right_aligned_in_ten_characters(bench: Bench) -> None:
    assert bench.ask("S") == "S S     1234.5 g\r\n"
    assert bench.ask("SI") == "S S     1234.5 g\r\n"


def test_a_moving_plate_is_dynamic_and_s_waits_until_it_is_still(bench: Bench) -> None:
    rest_s = bench.plate.change(bench.now_s, 300.0)
    bench.now_s += 0.2
    assert bench.ask("SI").startswith("S D ")
    assert bench.ask("S") == ""
    bench.now_s = rest_s + 1
    assert re.fullmatch(r"S S     153\d\.\d g\r\n", bench.scale.tick().decode())
    assert bench.later(1) == ""


def test_s_gives_up_when_the_plate_never_rests(bench: Bench) -> None:
    for second in range(14):
        bench.plate.touch(second, second + 1.0)
    assert bench.ask("S") == ""
    assert bench.later(5) == ""
    assert bench.later(6) == "S I\r\n"


def test_sir_repeats_until_the_next_command(bench: Bench) -> None:
    assert bench.ask("SIR").startswith("S S ")
    assert bench.later(0.01) == ""
    assert bench.later(0.1).startswith("S S ")
    assert bench.ask("SI").startswith("S S ")
    assert bench.later(1) == ""


def test_overload_and_underload_are_said_instead_of_a_weight(bench: Bench) -> None:
    bench.plate.lay(15_100.0)
    assert bench.ask("SI") == "S +\r\n"
    bench.now_s += 1
    bench.plate.lay(-900.0)
    assert bench.ask("S") == "S -\r\n"


def test_tare_makes_the_weight_net_and_clearing_it_gross_again(bench: Bench) -> None:
    assert bench.ask("T") == "T S     1234.5 g\r\n"
    assert bench.ask("SI") == "S S        0.0 g\r\n"
    assert bench.ask("TA") == "TA A     1234.5 g\r\n"
    assert bench.ask("TAC") == "TAC A\r\n"
    assert bench.ask("SI") == "S S     1234.5 g\r\n"
    assert bench.ask("TA 34.5 g") == "TA A       34.5 g\r\n"
    assert bench.ask("SI") == "S S     1200.0 g\r\n"
    assert bench.ask("TI") == "TI S     1234.5 g\r\n"


def test_a_tare_that_cannot_be_is_refused(bench: Bench) -> None:
    assert bench.ask("TA -5 g") == "TA L\r\n"
    assert bench.ask("TA 99999 g") == "TA L\r\n"
    assert bench.ask("TA ten g") == "TA L\r\n"


def test_zero_makes_the_present_load_nothing(bench: Bench) -> None:
    assert bench.ask("Z") == "Z A\r\n"
    assert bench.ask("SI") == "S S        0.0 g\r\n"
    assert bench.ask("ZI") == "ZI S\r\n"


def test_reset_forgets_tare_and_stream_and_says_the_serial_number(bench: Bench) -> None:
    bench.ask("T")
    bench.ask("SIR")
    assert bench.ask("@") == 'I4 A "B0001"\r\n'
    assert bench.later(1) == ""
    assert bench.ask("SI") == "S S     1234.5 g\r\n"


def test_i0_lists_what_it_can_and_marks_the_last_line(bench: Bench) -> None:
    lines = bench.ask("I0").splitlines()
    assert all(re.fullmatch(r'I0 [BA] [01] "[A-Z0-9@]+"', line) for line in lines)
    assert [line[3] for line in lines] == ["B"] * (len(lines) - 1) + ["A"]
    listed = {line.split('"')[1] for line in lines}
    assert {"@", "I0", "I4", "S", "SI", "SIR", "T", "TA", "TAC", "Z"} <= listed


def test_inquiries_answer_in_quotes(bench: Bench) -> None:
    assert bench.ask("I1") == 'I1 A "01" "2.30" "2.20" "" ""\r\n'
    assert bench.ask("I2") == 'I2 A "SIM-SHELF 15.00 kg"\r\n'
    assert bench.ask("I3").startswith('I3 A "')


def test_what_it_cannot_understand_is_an_error_of_its_kind(bench: Bench) -> None:
    assert bench.ask("HELLO") == "ES\r\n"
    assert bench.ask("si") == "ES\r\n"
    assert bench.ask("SI 5") == "EL\r\n"
    assert bench.scale.feed(b"S\xc9\r\n") == b"ET\r\n"
    assert bench.ask("") == ""


def test_a_command_may_arrive_in_any_pieces(bench: Bench) -> None:
    assert bench.scale.feed(b"S") == b""
    assert bench.scale.feed(b"I\r") == b""
    assert bench.scale.feed(b"\nSI\r\nS") == b"S S     1234.5 g\r\n" * 2
