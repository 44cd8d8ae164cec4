"""The 8217 and NCI framers against published vectors, however the bytes are split and whatever is between them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.decode import decode_stream
from edge_agent.drivers.toledo_8217 import _why
from edge_agent.drivers.toledo_frames import (
    NOISE_LIMIT,
    Acknowledged,
    Answer,
    NciFramer,
    Noise,
    Toledo8217Framer,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "devices.json"
VECTORS: dict[str, dict[str, Any]] = {
    vector["id"]: vector
    for vector in json.loads(GOLDEN.read_text(encoding="utf-8"))["vectors"]
    if vector["protocol"] in ("toledo-8217", "nci-scp01")
}
FRAMERS = {"8217": Toledo8217Framer, "nci": NciFramer}
GOOD: dict[str, list[bytes]] = {
    "8217": [
        b"\x0201.250\r",
        b"\x0212.34N\r",
        b"\x02  1.234\r",
        b"\x02?\x02\r",
        b"\x02?\x0d\r",
        b"\x02?\x61\r",
        b"\x02?\x24\r",
    ],
    "nci": [
        b"\n0001.25KG\r\n00\r\x03",
        b"\n01.250LB\r\nS00\r\x03",
        b"\n 2LB  3.5OZ\r\n20\r\x03",
        b"\n00.000KG\r\nS0p4\r\x03",
        b"\nS10\r\x03",
        b"\n02\r\x03",
        b"\n?\r\x03",
    ],
}
DIALECTS = pytest.mark.parametrize("dialect", ["8217", "nci"])


def decoded(dialect: str, stream: bytes, **options: str) -> list[Any]:
    return list(decode_stream("toledo-8217", [stream], options={"dialect": dialect, **options}))


def expected(out: dict[str, Any]) -> dict[str, Any] | None:
    """A vector's result as `decode` prints it."""
    match out["kind"]:
        case "reject":
            return None
        case "error":
            return {"weight_g": None, "stable": None, "flags": ["error"]}
        case "status":
            names = {"over": "over", "under": "under", "motion": "motion", "net": "net", "at_zero": "zero"}
            flags = [flag for name, flag in names.items() if out.get(name)]
            return {"weight_g": None, "stable": False if out["motion"] else None, "flags": flags}
        case _:
            weight_g = pytest.approx(out["kg"] * 1000, abs=1e-9)
            return {"weight_g": weight_g, "stable": out["stable"], "flags": ["net"] if out["net"] else []}


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_every_vector_decodes(name: str) -> None:
    vector = VECTORS[name]
    dialect = "nci" if vector["protocol"] == "nci-scp01" else "8217"
    (found,) = decoded(dialect, bytes.fromhex(vector["in"]["hex"]))
    wanted = expected(vector["out"])
    if wanted is None:
        assert isinstance(found, str)
    else:
        assert {key: found[key] for key in wanted} == wanted


@DIALECTS
@given(data=st.data())
def test_every_split_decodes_the_same(dialect: str, data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from(GOOD[dialect]) | st.binary(max_size=30), max_size=8))
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    whole, cut = FRAMERS[dialect](), FRAMERS[dialect]()
    once = whole.feed(stream) + whole.abandon()
    pieces = [item for a, b in pairwise([0, *cuts, len(stream)]) for item in cut.feed(stream[a:b])]
    assert pieces + cut.abandon() == once
    assert cut.skipped_bytes == whole.skipped_bytes


@DIALECTS
@given(stream=st.binary(max_size=800))
def test_any_bytes_never_raise(dialect: str, stream: bytes) -> None:
    framer = FRAMERS[dialect]()
    framer.feed(stream)
    framer.abandon()


@DIALECTS
@given(data=st.data())
def test_garbage_between_loses_no_good_reply(dialect: str, data: st.DataObject) -> None:
    garbage = st.binary(max_size=40).map(lambda raw: raw + b"\x7f")
    parts = data.draw(st.lists(st.tuples(garbage, st.sampled_from(GOOD[dialect])), min_size=1, max_size=6))
    found = iter(FRAMERS[dialect]().feed(b"".join(noise + good for noise, good in parts)))
    wanted = [item for _, good in parts for item in FRAMERS[dialect]().feed(good)]
    assert all(answer in found for answer in wanted), "a good reply is missing or out of order"


@DIALECTS
@given(data=st.data())
def test_a_reply_cut_anywhere_never_swallows_the_one_behind_it(dialect: str, data: st.DataObject) -> None:
    torso, good = data.draw(st.sampled_from(GOOD[dialect])), data.draw(st.sampled_from(GOOD[dialect]))
    cut = data.draw(st.integers(0, len(torso) - 1))
    found = [item for item in FRAMERS[dialect]().feed(torso[:cut] + good) if isinstance(item, Answer)]
    assert found == FRAMERS[dialect]().feed(good)


@pytest.mark.parametrize("status", range(128))
def test_exactly_one_byte_is_the_status_whatever_it_is(status: int) -> None:
    framer = Toledo8217Framer()
    found = framer.feed(b"\x02?" + bytes([status]) + b"\r\x0201.250\r")
    assert [type(item) for item in found] == [Answer, Answer]
    assert isinstance(found[0], Answer)
    judged = {"motion": status & 1, "over": status & 2, "under": status & 4}
    assert all((flag in found[0].flags) == bool(is_set) for flag, is_set in judged.items())
    assert framer.skipped_bytes == 0


@pytest.mark.parametrize(
    ("status", "flags"),
    [
        (0x20, ("net",)),
        (0x10, ("zero",)),
        (0x40, ("error",)),  # bad command
        (0x41, ("motion",)),  # bit 6 is always 1 on some models: the motion explains it all
        (0x60, ()),  # Rice Lake sets 5 and 6 always: neither says anything
        (0x78, ("zero",)),
        (0x08, ()),
    ],
)
def test_bits_that_makers_use_differently_are_read_safely(status: int, flags: tuple[str, ...]) -> None:
    assert Toledo8217Framer().feed(b"\x02?" + bytes([status]) + b"\r") == [Answer(flags)]  # type: ignore[arg-type]


@DIALECTS
def test_parity_bits_of_an_eight_bit_wire_are_no_part_of_the_text(dialect: str) -> None:
    for reply in GOOD[dialect]:
        with_parity = bytes(byte | (byte.bit_count() % 2) << 7 for byte in reply)
        assert FRAMERS[dialect]().feed(with_parity) == FRAMERS[dialect]().feed(reply)


@pytest.mark.parametrize("confidence", [b"\x02\r", b"\x02E\r"])
def test_a_confidence_test_or_an_echo_begins_without_a_weight(confidence: bytes) -> None:
    assert Toledo8217Framer().feed(confidence) == [Acknowledged()]


def test_echoed_text_is_no_weight() -> None:
    assert decoded("8217", b"\x02E\rhello") == ["not a reply: hello"]
    assert decoded("8217", b"\x02hello\r") == [r"not a reply: \x02hello"]


def test_the_reason_for_a_lacking_unit_does_not_change_with_the_weight() -> None:
    reasons = {_why(Answer((), ((value, None),))) for value in ("1.2345", "2.0001")}
    assert reasons == {"sends weights like W.WWWW, and no unit can be told from that; set `unit` to kg or lb"}


@pytest.mark.parametrize(
    ("digits", "unit", "weight_g", "flags"),
    [
        (b"01.250", "auto", 1250.0, []),
        (b"02.50", "auto", 2.5 * 453.59237, []),
        (b"012.5", "auto", None, ["error"]),
        (b"012.5", "kg", 12_500.0, []),
        (b"02.50", "kg", 2500.0, []),
        (b"1.005", "lb", 1.005 * 453.59237, []),
        (b"00.000N", "auto", 0.0, ["net"]),
    ],
)
def test_the_digits_tell_the_unit_or_the_configuration_does(
    digits: bytes, unit: str, weight_g: float | None, flags: list[str]
) -> None:
    (found,) = decoded("8217", b"\x02" + digits + b"\r", unit=unit)
    assert found["weight_g"] == (None if weight_g is None else pytest.approx(weight_g, abs=1e-6))
    assert found["flags"] == flags


@pytest.mark.parametrize("body", [b"1250", b"1.2.5", b"-1.250", b"01.250X", b"12345.678", b".250"])
def test_what_is_no_8217_weight_is_noise(body: bytes) -> None:
    assert all(isinstance(item, Noise) for item in Toledo8217Framer().feed(b"\x02" + body + b"\r"))


@pytest.mark.parametrize(
    ("shown", "weight_g"),
    [
        (b"0001.25KG", 1250.0),
        (b"01.250kg", 1250.0),
        (b"-0.100 kg", -100.0),
        (b" 1250g ", 1250.0),
        (b"16.0OZ", 453.59237),
        (b"1LB 16.0OZ", 2 * 453.59237),
        (b"-1lb 16.0oz", -2 * 453.59237),
    ],
)
def test_nci_names_its_unit(shown: bytes, weight_g: float) -> None:
    (found,) = decoded("nci", b"\n" + shown + b"\r\n00\r\x03")
    assert found["weight_g"] == pytest.approx(weight_g, abs=1e-6)
    assert found["stable"] is True


@pytest.mark.parametrize("shown", [b"------LB", b"Err 05", b"000123MM", b"KG", b"12 PCS"])
def test_a_display_without_a_mass_is_an_error_without_a_weight(shown: bytes) -> None:
    (found,) = decoded("nci", b"\n" + shown + b"\r\n00\r\x03")
    assert (found["weight_g"], found["flags"]) == (None, ["error"])


@pytest.mark.parametrize(
    ("status", "flags"),
    [
        (b"00", ()),
        (b"S20", ("zero",)),
        (b"12", ("over", "motion")),
        (b"40", ("error",)),  # RAM
        (b"04", ("error",)),  # ROM
        (b"0p4", ("net",)),
        (b"0p8", ("error",)),  # no zero since it was switched on
        (b"0pp0", ()),
    ],
)
def test_nci_status_bits(status: bytes, flags: tuple[str, ...]) -> None:
    assert NciFramer().feed(b"\n" + status + b"\r\x03") == [Answer(flags)]  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [b"0", b"0p", b"p0", b"000", b"0pp", b"AB"])
def test_a_status_whose_length_or_fixed_bits_are_wrong_is_noise(status: bytes) -> None:
    assert [type(item) for item in NciFramer().feed(b"\n" + status + b"\r\x03")] == [Noise]


@DIALECTS
def test_endless_noise_keeps_a_bounded_buffer_and_is_counted(dialect: str) -> None:
    framer = FRAMERS[dialect]()
    told = [item for _ in range(100) for item in framer.feed(b"\x55" * 1000)]
    assert all(isinstance(item, Noise) and len(item.line) <= NOISE_LIMIT for item in told)
    (*_, answer) = framer.feed(GOOD[dialect][0])
    assert isinstance(answer, Answer)
    assert framer.skipped_bytes == 100_000


@DIALECTS
def test_half_a_reply_is_no_reading_at_the_end(dialect: str) -> None:
    for reply in GOOD[dialect]:
        assert all(isinstance(line, str) for line in decoded(dialect, reply[:-1]))
