"""The simulated text scales, byte for byte as the makers' manuals print their lines."""

from __future__ import annotations

import pytest

from device_sims.ascii_scale import AsciiScale, Format
from device_sims.indicator import Indicator
from device_sims.noise import Noise
from device_sims.plate import Plate
from device_sims.text_sensor import TextSensor


class Bench:
    """A scale with a plate and a clock under the test's control."""

    def __init__(self, maker: Format, *, decimals: int = 1, streams: bool = True) -> None:
        self.now_s = 1.0
        self.plate = Plate(
            Noise(sample_sd_g=(0.0, 0.0), drift_g_per_sqrt_h=0, creep_share=0, temperature_swing_c=0), "b"
        )
        self.scale = AsciiScale(
            Indicator(self.plate, max_g=5_000),
            maker=maker,
            clock=lambda: self.now_s,
            decimals=decimals,
            streams=streams,
        )
        self.scale.power_on()

    def line(self) -> str:
        self.now_s += 1
        return self.scale.tick().decode()


@pytest.mark.parametrize(
    ("maker", "stable", "moving", "over"),
    [
        ("and", "ST,+001234.5  g\r\n", "US,+", "OL,+999999.9  g\r\n"),
        ("st-gs", "ST,GS,+ 1234.5 g\r\n", "US,GS,+", "OL,GS,+        g\r\n"),
        ("sartorius", "+   1234.5 g  \r\n", "+   1", "      H       \r\n"),
        ("sartorius-22", "G     +   1234.5 g  \r\n", "G     +", "Stat        H       \r\n"),
        ("sma", "\n 1G      1234.5g  \r", "\n 1GM", "\nO1G"),
    ],
)
def test_lines_are_the_manuals(maker: Format, stable: str, moving: str, over: str) -> None:
    bench = Bench(maker)
    bench.plate.lay(1234.5)
    assert bench.line() == stable
    bench.plate.change(bench.now_s, 100.0)
    bench.now_s -= 0.8
    assert bench.line().startswith(moving)
    bench.plate.lay(9_000)
    bench.now_s += 1
    assert bench.line().startswith(over)


@pytest.mark.parametrize(
    ("maker", "width"),
    [("and", 17), ("st-gs", 18), ("sartorius", 16), ("sartorius-22", 22), ("adam", 13), ("sma", 20)],
)
@pytest.mark.parametrize("weight_g", [0.0, 7.25, -30.0, 4999.9, 9_000.0])
def test_fields_keep_their_width_whatever_they_show(maker: Format, width: int, weight_g: float) -> None:
    bench = Bench(maker)
    bench.plate.lay(weight_g)
    assert len(bench.line()) == width


def test_ohaus_marks_a_moving_plate_and_a_net_weight() -> None:
    bench = Bench("ohaus", decimals=2)
    bench.plate.lay(12.73)
    assert bench.line() == "      12.73 g       G\r\n"
    bench.scale.tare()
    assert bench.line() == "       0.00 g       N\r\n"


def test_asked_it_answers_and_streams_only_when_it_is_told() -> None:
    bench = Bench("and", streams=False)
    bench.plate.lay(12.5)
    assert bench.line() == ""
    assert bench.scale.feed(b"Q\r") == b"ST,+000012.5  g\r\n"
    assert bench.scale.feed(b"\nSIR\r\n") == b""
    assert bench.line() == "ST,+000012.5  g\r\n"
    bench.scale.feed(b"C\r\n")
    assert bench.line() == ""


def test_sma_says_so_when_it_does_not_know_a_command() -> None:
    assert Bench("sma", streams=False).scale.feed(b"\nX\r") == b"\n?\r"


def test_a_sketch_answers_one_letter() -> None:
    bench = Bench("hx711", decimals=2, streams=False)
    bench.plate.lay(7.25)
    assert bench.scale.feed(b"w") == b"7.25\r\n"
    assert bench.scale.feed(b"t") == b""
    assert bench.scale.feed(b"w") == b"0.00\r\n"


def test_a_sensor_prints_each_second_and_hears_nothing() -> None:
    now_s = 5.0
    sensor = TextSensor(lambda: "T=4.5", clock=lambda: now_s)
    assert sensor.power_on() == b"sensor ready\r\n"
    assert (sensor.tick(), sensor.tick()) == (b"T=4.5\r\n", b"")
    assert sensor.feed(b"hello") == b""
    now_s += 1
    assert sensor.tick() == b"T=4.5\r\n"
