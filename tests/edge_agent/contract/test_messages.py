"""The wire: the chain's golden vector, and bodies that must keep parsing."""

from __future__ import annotations

import json
from hashlib import blake2b

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.messages import (
    BODIES,
    CHAIN_START,
    FEED_KINDS,
    SCHEMA_VERSION,
    Batch,
    CommandsReply,
    FacingState,
    OutboxRow,
    RecountOrder,
    StockChanged,
    chain_next,
    encode,
    fold_chain,
)

EID = bytes(range(16))
BODY = '{"facing":"A1-01","fill":0.25,"device":"cam-a"}'


def test_chain_golden_vector() -> None:
    assert chain_next(CHAIN_START, EID, "gap.opened", 1, BODY).hex() == "d8b0bc2d6660a176b31c068690224b2c"


def test_chain_is_blake2b_of_the_documented_bytes() -> None:
    parts = CHAIN_START + EID
    for text in ("gap.opened", "1", BODY):
        parts += len(text.encode()).to_bytes(4, "big") + text.encode()
    assert chain_next(CHAIN_START, EID, "gap.opened", 1, BODY) == blake2b(parts, digest_size=16).digest()


@given(st.lists(st.tuples(st.binary(min_size=16, max_size=16), st.text(), st.text()), max_size=8))
def test_folding_in_two_steps_is_folding_at_once(items: list[tuple[bytes, str, str]]) -> None:
    rows = [
        OutboxRow(
            seq=n, eid=eid.hex(), kind=kind or "k", version=1, occurred_at="2026-11-22T10:00:00.123Z",
            boot_id="b", mono_ms=n, body=body,
        )
        for n, (eid, kind, body) in enumerate(items, 1)
    ]  # fmt: skip
    half = len(rows) // 2
    assert fold_chain(fold_chain(CHAIN_START, rows[:half]), rows[half:]) == fold_chain(CHAIN_START, rows)


def test_chain_moves_boundaries_apart() -> None:
    """A byte that wanders from one field into the next is another history."""
    assert chain_next(CHAIN_START, EID, "ab", 1, "c") != chain_next(CHAIN_START, EID, "a", 1, "bc")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            "stock.changed",
            '{"facing":"A1-01","gtin":"06901234567892","on_hand":5,"change":-1,"confidence":0.98,"status":"low","cause":"pick","sources":["weight"],"observed_at":"2026-11-22T10:00:00.123Z"}',
        ),
        ("gap.closed", BODY),
        (
            "footfall.counted",
            '{"device":"cam","line":"door","start":"2026-11-22T10:00:00.000Z","seconds":60,"entered":2,"exited":0}',
        ),
        ("device.changed", '{"device":"s1","driver":"mt-sics","status":"offline","reason":"E-LINK-LOST"}'),
        (
            "item.arrived",
            '{"epc":"3074257bf7194e4000001a85","gtin":"80614141123458","serial":"6789","facing":"A1","device":"r"}',
        ),
        ("planogram.applied", '{"revision":0,"products":[],"facings":[]}'),
        (
            "command.done",
            '{"command":"000102030405060708090a0b0c0d0e0f","outcome":"refused","reason":"no facing A9"}',
        ),
    ],
)
def test_golden_bodies_of_version_1_keep_parsing_even_with_a_field_of_the_future(
    kind: str, body: str
) -> None:
    first = msgspec.json.decode(body, type=BODIES[kind])
    future = json.dumps({**json.loads(body), "added_later": 1})
    assert msgspec.json.decode(future, type=BODIES[kind]) == first


def test_a_facing_that_is_due_reads_with_and_without_its_time() -> None:
    """A new field has a default and is no new version: HQ parks rows of a version above its own."""
    due = "2026-11-22T16:40:00.000Z"
    changed = StockChanged(
        facing="A1", gtin="06901234567892", on_hand=5, change=-1, confidence=0.9, status="ok", cause="pick",
        sources=["weight"], observed_at=None, reorder_due_at=due,
    )  # fmt: skip
    state = FacingState(
        facing="A1", gtin="06901234567892", on_hand=5, confidence=0.9, status="ok", sources=["weight"],
        changed_at=None, observed_at=None, reorder_due_at=due,
    )  # fmt: skip
    for told in (changed, state):
        assert msgspec.json.decode(encode(told), type=type(told)) == told
        older = {key: value for key, value in msgspec.to_builtins(told).items() if key != "reorder_due_at"}
        assert msgspec.convert(older, type(told)) == msgspec.structs.replace(told, reorder_due_at=None)
    assert SCHEMA_VERSION == 1


def test_every_public_event_type_has_a_body() -> None:
    assert set(BODIES) >= FEED_KINDS


def test_golden_commands_of_version_1_keep_parsing_even_with_a_field_of_the_future() -> None:
    golden = (
        '{"commands":[{"id":"000102030405060708090a0b0c0d0e0f","kind":"recount","age_ms":250,'
        '"body":{"facing":"A1-01","on_hand":7},"later":1}],"after":12,"later":{}}'
    )
    reply = msgspec.json.decode(golden, type=CommandsReply)
    (command,) = reply.commands
    assert (command.kind, command.age_ms, reply.after) == ("recount", 250, 12)
    assert msgspec.convert(command.body, RecountOrder) == RecountOrder(facing="A1-01", on_hand=7)


def test_what_happened_to_a_command_is_no_public_event() -> None:
    assert "command.done" in BODIES
    assert "command.done" not in FEED_KINDS


def test_positions_travel_as_pairs() -> None:
    batch = Batch(
        session="s", branch="b", first=1, prev_chain="0" * 32, last_chain="0" * 32, last_seq=0, rows=[]
    )
    assert msgspec.json.decode(encode(batch), type=Batch) == batch
