"""Where tags are: arrived, moved, departed; and what lies in the back room."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.stock.presence import BACK_ROOM, LONGEST_S, PLACES_ELSEWHERE, Moved, Presence

GOLDEN = Path(__file__).parents[2] / "golden" / "devices.json"
EPC, OTHER = "3074257bf7194e4000001a85", "3074257bf7194e4000001a86"
GTIN = "80614141123458"


class Reader:
    """One reader and a virtual clock; `told` is what became of the tags: (arrived, facing)."""

    def __init__(self) -> None:
        self.presence, self.t, self.told = Presence(), 100.0, list[tuple[bool, str]]()

    def read(
        self, facing: str, rssi_dbm: float | None, *, epc: str = EPC, channel: int | None = None
    ) -> None:
        self.note(
            self.presence.seen(
                epc=epc, device="r1", facing=facing, rssi_dbm=rssi_dbm, mono_s=self.t, channel=channel
            )
        )

    def rest(self, seconds: float, *, keeps_hearing: str = OTHER) -> None:
        """So long without a read of the tag, while the reader hears another one."""
        for _ in range(round(seconds)):
            self.t += 1.0
            self.presence.seen(epc=keeps_hearing, device="r1", facing="Z", rssi_dbm=-50.0, mono_s=self.t)
            self.note([m for m in self.presence.departures(self.t) if m.tag.epc != keeps_hearing])

    def note(self, moves: list[Moved]) -> None:
        self.told += [(move.arrived, move.facing) for move in moves]


def test_the_states_of_edgex() -> None:
    (vector,) = (
        vector
        for vector in json.loads(GOLDEN.read_text())["vectors"]
        if vector["id"] == "edgex-mobility/states"
    )
    assert vector["out"]["events"] == ["Arrived", "Departed", "Arrived", "Moved"]
    reader = Reader()
    reader.read("A", -50.0)
    reader.rest(600)
    reader.read("A", -50.0)
    reader.read("B", -43.0)
    assert len(reader.told) == 3  # read once elsewhere
    reader.read("B", -43.0)
    assert reader.told == [(True, "A"), (False, "A"), (True, "A"), (False, "A"), (True, "B")]


def test_a_tag_moves_by_more_than_the_threshold_only() -> None:
    reader = Reader()
    reader.read("A", -50.0)
    for _ in range(9):
        reader.read("B", -44.5)
    assert reader.told == [(True, "A")]
    for _ in range(20):
        reader.read("B", -43.5)
    assert reader.told[1:] == [(False, "A"), (True, "B")]


def test_a_tag_that_its_place_hears_no_longer_moves_to_one_that_is_no_louder() -> None:
    """A misplaced item: 6 dB would keep it where it was for ever."""
    reader = Reader()
    for _ in range(20):
        reader.read("A", -50.0)
    for _ in range(11):
        reader.t += 6.5
        reader.read("B", -50.0)
    assert reader.told == [(True, "A")]
    reader.t += 6.5
    reader.read("B", -50.0)
    assert reader.told[1:] == [(False, "A"), (True, "B")]


def test_the_sooner_the_more_often_it_is_heard_elsewhere_only() -> None:
    waited_s = []
    for every_s in (1.0, 4.0):
        reader = Reader()
        reader.read("A", -50.0)
        began_s = reader.t
        while len(reader.told) < 3:
            reader.t += every_s
            reader.read("B", -50.0)
        waited_s.append(reader.t - began_s)
    assert waited_s == [13.0, 52.0]


def test_a_burst_of_reads_within_a_second_moves_nothing() -> None:
    """An antenna has its turn, the tag's own comes next."""
    reader = Reader()
    reader.read("A", -50.0)
    for _ in range(70):
        reader.t += 0.01
        reader.read("B", -50.0)
    assert reader.told == [(True, "A")]


def test_a_reader_that_tells_no_strength_moves_by_newer_reads() -> None:
    reader = Reader()
    reader.read("A", None)
    for _ in range(80):
        reader.t += 1.0
        reader.read("B", None)
    assert reader.told == [(True, "A"), (False, "A"), (True, "B")]


def test_a_restored_tag_is_not_moved_by_a_neighbour_that_hears_it_first() -> None:
    reader = Reader()
    reader.presence.restore(epc=EPC, device="r1", facing="A", mono_s=reader.t)
    for _ in range(5):
        reader.read("B", -60.0)
        reader.t += 1.0
    reader.read("A", -51.0)
    reader.read("B", -60.0)
    assert reader.told == []


def test_channels_that_carry_a_tag_badly_do_not_move_it() -> None:
    """Heard at its own place on a bad channel by chance, at the other on a good one: 7 dB, all of the air's."""
    reader = Reader()
    for channel, rssi_dbm in ((1, -57.0), (1, -57.0), (1, -57.0), (2, -50.0)):
        reader.read("A", rssi_dbm, channel=channel)
    for _ in range(10):
        reader.read("B", -48.0, channel=2)
    assert reader.told == [(True, "A")]


def test_what_is_kept_of_a_tag_is_bounded() -> None:
    reader = Reader()
    for number in range(500):
        reader.t += 0.1
        reader.read(f"F{number % 40}", -50.0, channel=number)
    assert len(reader.presence.tags[EPC].elsewhere) == PLACES_ELSEWHERE


def test_from_a_facing_into_the_back_room_and_out_again() -> None:
    reader = Reader()
    reader.read("A", -60.0)
    for _ in range(2):
        reader.read(BACK_ROOM, -45.0)
    assert reader.presence.in_back_room(GTIN) == 1
    for _ in range(4):
        reader.read("A", -30.0)
    assert reader.told == [(True, "A"), (False, "A"), (True, BACK_ROOM), (False, BACK_ROOM), (True, "A")]
    assert reader.presence.in_back_room(GTIN) == 0


def test_what_lies_in_the_back_room_leaves_by_silence_and_is_restored() -> None:
    reader = Reader()
    reader.presence.restore(epc=EPC, device="r1", facing=BACK_ROOM, mono_s=reader.t)
    reader.read(BACK_ROOM, None, epc="e28011606000020a6681f23f")
    assert reader.presence.in_back_room(GTIN) == 1  # the other one names no product
    reader.rest(LONGEST_S)
    assert reader.presence.in_back_room(GTIN) == 0
    assert reader.told == [(True, BACK_ROOM), (False, BACK_ROOM), (False, BACK_ROOM)]


Step = st.tuples(
    st.sampled_from(["A", "B", "C", BACK_ROOM]),
    st.integers(0, 5),
    st.floats(-90, -20) | st.none(),
    st.integers(0, 3) | st.none(),
    st.floats(0, 40),
)


@given(st.lists(Step, max_size=120))
@settings(max_examples=150, deadline=None)
def test_arrivals_and_departures_of_a_tag_take_turns_and_the_back_room_adds_up(
    steps: list[tuple[str, int, float | None, int | None, float]],
) -> None:
    presence, t = Presence(), 0.0
    where: dict[str, str] = {}
    for facing, serial, rssi_dbm, channel, passed_s in steps:
        t += passed_s
        epc = f"3074257bf7194e4000001a{serial:02x}"
        moves = presence.departures(t)
        moves += presence.seen(
            epc=epc, device="r1", facing=facing, rssi_dbm=rssi_dbm, mono_s=t, channel=channel
        )
        for move in moves:
            if move.arrived:
                assert where.setdefault(move.tag.epc, move.facing) == move.facing
            else:
                assert where.pop(move.tag.epc) == move.facing
        assert where == {epc: tag.facing for epc, tag in presence.tags.items()}
        places = Counter(where.values())
        assert presence.in_back_room(GTIN) == places[BACK_ROOM]
        assert all(0.0 <= presence.there(tag, t) <= 1.0 for tag in presence.tags.values())


def test_the_silence_of_a_reader_that_is_silent_or_unwell_says_nothing() -> None:
    reader = Reader()
    reader.read("A", -50.0)
    reader.rest(15)
    tag = reader.presence.tags[EPC]
    less = reader.presence.there(tag, reader.t)
    assert less < 0.999
    reader.t += 3600
    assert reader.presence.there(tag, reader.t) == less
    reader.presence.troubled("r1", reader.t)
    assert reader.presence.there(tag, reader.t) == 1.0


def test_where_tags_leave_now_and_then_silence_counts_long_before_a_departure() -> None:
    """Forty tags read every third second, one taken every minute: how often is their number right?"""
    presence, chance = Presence(), random.Random(1)
    epcs = [f"3074257bf7194e4000002a{n:02x}" for n in range(40)]
    right: Counter[str] = Counter()
    for second in range(30 * 60):
        there = epcs[second // 60 :]
        for epc in there:
            if chance.random() < 0.33:
                presence.seen(epc=epc, device="r1", facing="A", rssi_dbm=-50.0, mono_s=float(second))
        presence.departures(float(second))
        if second > 300:
            tags = list(presence.tags.values())
            right["present"] += len(tags) == len(there)
            right["there"] += round(sum(presence.there(tag, float(second)) for tag in tags)) == len(there)
    assert right["there"] > 1.25 * right["present"]
