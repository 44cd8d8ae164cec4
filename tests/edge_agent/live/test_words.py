"""An explanation in words: golden text, at most 80 characters a line whatever is said."""

from __future__ import annotations

from typing import Any, get_args
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.messages import Cause
from edge_agent.explanation import Explanation
from edge_agent.live.words import CAUSES, REASONS, WIDTH, in_words, percent, span
from edge_agent.stock.belief import Reason

SHANGHAI = ZoneInfo("Asia/Shanghai")
GTIN, OTHER = "06901234112344", "06901234105490"
SAID: dict[str, Any] = {
    "facing": "A1-02",
    "gtin": GTIN,
    "on_hand": 9,
    "confidence": 0.964,
    "interval": [8, 9],
    "status": "ok",
    "sources": ["weight", "rfid"],
    "reasons": ["foreign_object"],
    "changed_at": "2026-11-27T08:03:33.187Z",
    "observed_at": "2026-11-27T08:04:04.381Z",
    "reorder_due_at": "2026-11-27T10:30:00.000Z",
    "counts": [{"on_hand": 9, "probability": 0.964}, {"on_hand": 8, "probability": 0.0312}, {"on_hand": 15, "probability": 0.004}],
    "alone": [
        {"source": "weight", "on_hand": 15, "probability": 0.65, "of_believed": 0.127},
        {"source": "rfid", "on_hand": 9, "probability": 0.43, "of_believed": 0.43},
    ],
    "plate": {
        "plates": [{"device": "scale-a1-02", "channel": None}],
        "moving": False,
        "weight_g": 2233.3,
        "expected_g": 1337.3,
        "drift_g": -2.3,
        "items": [
            {"facing": "A1-02", "gtin": GTIN, "on_hand": 9, "printed_g": 148.0, "printed_sd_g": 1.5, "unit_g": 148.84, "unit_sd_g": 1.4}
        ],
        "foreign": [{"gtin": None, "probability": 0.998}, {"gtin": OTHER, "probability": 0.002}],
        "foreign_g": 895.6,
    },
    "tags": {
        "readers": ["rfid-a"],
        "listening": True,
        "tagged": 0.95,
        "heard": 8,
        "silent": 2,
        "doubt": 0.21,
        "known_items": 11,
        "without_tag": 1,
    },
    "in_back_room": 24,
    "cameras": [{"device": "cam-2", "gap": False, "fill": 0.7, "age_s": 12.4, "speaks": True}],
    "asked_at": "2026-11-27T08:04:05.271Z",
    "capacity": 14,
    "reorder_point": 3,
    "names": {GTIN: "Toothpaste 120 g", OTHER: "Chocolate 100 g"},
    "devices": [
        {"device": "scale-a1-02", "driver": "mt-sics", "status": "online", "reason": None, "since": "2026-11-26T22:00:00.000Z", "last_seen_at": "2026-11-27T08:04:05.207Z"},
        {"device": "rfid-a", "driver": "impinj-r700", "status": "offline", "reason": "it said that it is gone [E-LINK-LOST]", "since": "2026-11-27T08:01:00.000Z", "last_seen_at": "2026-11-27T08:00:58.000Z"},
    ],
    "counted": {"at": "2026-11-26T23:10:00.000Z", "on_hand": 11},
    "trade": {
        "since": "2026-11-26T08:04:05.271Z",
        "sold": 2,
        "sold_last_at": "2026-11-27T08:04:00.000Z",
        "delivered": 24,
        "delivered_last_at": "2026-11-26T09:00:00.000Z",
    },
    "changes": [
        {"at": "2026-11-27T08:03:50.000Z", "on_hand": 9, "change": 0, "cause": "correction", "confidence": 0.964, "status": "ok", "reasons": ["foreign_object"]},
        {"at": "2026-11-27T08:03:33.187Z", "on_hand": 9, "change": -2, "cause": "pick", "confidence": 0.999, "status": "ok", "reasons": []},
        {"at": "2026-11-26T23:10:00.000Z", "on_hand": 11, "change": 0, "cause": "recount", "confidence": 0.999, "status": "ok", "reasons": ["recount"]},
        {"at": "2026-11-20T01:00:10.274Z", "on_hand": 11, "change": 11, "cause": "initial", "confidence": 0.999, "status": "ok", "reasons": []},
    ],
    "changes_since": "2026-11-20T01:00:09.600Z",
}  # fmt: skip
GOLDEN = """\
A1-02  Toothpaste 120 g  (06901234112344)
  On hand     9, room for 14, to be reordered at 3
  How sure    96 %, very sure; in 9 of 10 cases it is 8 to 9
  Status      ok
  Since       16:03:33, 32 s ago; last confirmed 1 s ago
  Note        something lies on its plate that does not belong there
              (foreign_object)
  Reorder     due about 18:30

What is known of it
  Plate       scale-a1-02 weighs 2,233.3 g, 896 g more than expected.
              Expected are 1,337.3 g: 9 × 148.8 g, less 2.3 g of drift of its
              zero.
              One piece weighs 148.8 g ± 1.4 g as learnt here, 148.0 g ± 1.5 g
              as printed.
              Beside them: something unknown, about 896 g (>99 % probable).
  Tags        rfid-a hears 8; 2 silent since the last touch (0.21 of them in
              doubt); of 11 items counted before 1 had no tag
  Back room   tags of 24 such items are heard there
  Camera      cam-2 sees it 70 % stocked, 12 s ago
  By hand     11 counted at 07:10:00
  Till        2 sold in the last 24 h, wherever they stood; told last at
              16:04:00
  Delivered   24 in the last 24 h; told last at 2026-11-26 17:00

What each sensor alone would say
  The plate     15   65 %  ███████████████████▌  (9: 13 %)
  The tags       9   43 %  ████████████▉

How probable each count is now
                 9   96 %  ████████████████████████████▉
                 8    3 %  ▉
                15   <1 %  ▏

Silent
  rfid-a offline since 16:01:00, 3 min: it said that it is gone [E-LINK-LOST];
    last heard 3 min ago

Last changes
  16:03:50            · →   9  status ok (96 % sure, foreign_object)
  16:03:33           −2 →   9  taken (>99 % sure)
  07:10:00            · →  11  counted by hand (>99 % sure)
  2026-11-20 09:00  +11 →  11  first count (>99 % sure)
  (the gateway's memory goes back to 2026-11-20 09:00)
"""


def words(**changes: Any) -> list[str]:
    return in_words(msgspec.convert(SAID | changes, Explanation), SHANGHAI)


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_everything_that_is_known_in_words() -> None:
    assert "\n".join(words()) + "\n" == GOLDEN


def test_a_facing_of_which_nothing_has_spoken() -> None:
    nothing = {
        "on_hand": None,
        "interval": None,
        "changed_at": None,
        "observed_at": None,
        "reorder_due_at": None,
    }
    empty = {
        "in_back_room": 0,
        "counts": [],
        "alone": [],
        "plate": None,
        "tags": None,
        "cameras": [],
        "devices": [],
        "reasons": [],
    }
    trade = {
        "since": SAID["trade"]["since"],
        "sold": 0,
        "sold_last_at": None,
        "delivered": 0,
        "delivered_last_at": None,
    }
    said = words(**nothing, **empty, counted=None, trade=trade, changes=[], changes_since=None)
    assert said == [
        "A1-02  Toothpaste 120 g  (06901234112344)",
        "  On hand     not known yet (room for 14): nothing has spoken of it",
    ]


def test_a_count_that_is_about_to_be_told_is_named() -> None:
    assert "  9 is more probable at this moment; it is told once that is clear." in words(on_hand=8)


def test_a_plate_that_is_silent_is_told_as_it_was_last_heard() -> None:
    devices = [SAID["devices"][0] | {"status": "offline", "reason": "the port is absent [E-LINK-LOST]"}]
    said = "\n".join(words(devices=devices))
    assert "scale-a1-02 weighs 2,233.3 g, 896 g more than expected, when it was last heard." in one_line(said)
    assert "  scale-a1-02 offline since 06:00:00, 10 h: the port is absent [E-LINK-LOST]" in said


def test_several_kinds_on_a_plate_are_named() -> None:
    [item] = SAID["plate"]["items"]
    plate = SAID["plate"] | {"items": [item, item | {"gtin": OTHER, "on_hand": 2}], "foreign": []}
    said = one_line("\n".join(words(plate=plate)))
    assert "9 × 148.8 g (Toothpaste 120 g) + 2 × 148.8 g (Chocolate 100 g), less 2.3 g" in said
    assert "One Chocolate 100 g weighs 148.8 g ± 1.4 g as learnt here" in said


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (1.0, ">99 %"),
        (0.991, ">99 %"),
        (0.99, "99 %"),
        (0.5, "50 %"),
        (0.01, "1 %"),
        (0.004, "<1 %"),
        (0.0, "<1 %"),
    ],
)
def test_a_probability_is_never_rounded_to_certainty(probability: float, text: str) -> None:
    assert percent(probability) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (86_400, "24 h"), (200_000, "2 days")],
)
def test_a_span_is_told_in_its_largest_unit(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_every_cause_and_reason_has_words() -> None:
    assert CAUSES.keys() == set(get_args(Cause))
    assert REASONS.keys() == set(get_args(Reason))


@given(
    st.text("漢abc def-", max_size=60),
    st.lists(st.sampled_from([*REASONS, "something_new"]), max_size=6),
    st.floats(0, 1e6),
    st.integers(0, 20_000),
)
def test_no_line_is_wider_than_80_characters(
    name: str, reasons: list[str], weight_g: float, count: int
) -> None:
    plate = SAID["plate"] | {"weight_g": weight_g, "foreign_g": weight_g}
    for line in words(names={GTIN: name[:40]}, reasons=reasons, plate=plate, on_hand=count):
        assert len(line) <= WIDTH, line
