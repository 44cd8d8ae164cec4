"""Every threshold of the score can fail, alone, and passes when all is right."""

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner

from device_sims.cli import app
from device_sims.hq import EventSeen, FacingSeen, Seen, StockSeen
from device_sims.plan import plan_visit
from device_sims.scenario import load_scenario
from device_sims.score import score, score_at_hq
from device_sims.store import truth_of
from device_sims.truth import (
    Closed,
    Crossed,
    ItemsMoved,
    LineChanged,
    Opened,
    Stocked,
    Truth,
    TruthFile,
    read_truth,
)
from device_sims.world import Moved, World
from edge_agent.contract.errors import ConfigError, HqRejected, HqUnreachable, SyncError
from edge_agent.contract.times import parse_rfc3339, rfc3339

OPENED = parse_rfc3339("2026-11-22T10:00:30.000Z")
SECONDS = 90.0


def after(seconds: float) -> datetime:
    return OPENED + timedelta(seconds=seconds)


CUT, BACK = after(34), after(49)


@pytest.fixture(scope="module")
def truth() -> Truth:
    """A whole demo's truth, lived through with an injected clock."""
    scenario = load_scenario("demo")
    plan = plan_visit(scenario, seconds=SECONDS, seed=1)
    world = World(scenario, plan, seed=1)
    stocked = [Stocked(facing=f.id, gtin=f.gtin, on_hand=f.on_hand) for f in scenario.facings]
    world.open(0.0)
    return Truth(
        Opened(occurred_at=OPENED, store="store-0042", seed=1, seconds=SECONDS, door=True, facings=stocked),
        [truth_of(moved, 0.0, OPENED) for moved in world.advance(SECONDS) if isinstance(moved, Moved)],
        [Crossed(occurred_at=after(p.at_s + 3), line="door", direction=p.direction) for p in plan.passages],
        [LineChanged(occurred_at=CUT, state="cut"), LineChanged(occurred_at=BACK, state="back")],
        closed=True,
    )


def event(seq: int, occurred_at: datetime, body: dict[str, Any]) -> EventSeen:
    received_at = occurred_at + timedelta(milliseconds=50)
    if CUT < received_at < BACK:
        received_at = BACK + timedelta(seconds=1.5)
    return EventSeen(
        eid=f"{seq:032x}",
        seq=seq,
        type="stock.changed",
        occurred_at=occurred_at,
        received_at=received_at,
        data=body,
    )


def perfect(truth: Truth) -> Seen:
    """What a faultless HQ would say."""
    events, on_hand = [], {}
    for seq, stocked in enumerate(truth.opened.facings, 1):
        body = {
            "facing": stocked.facing,
            "change": stocked.on_hand,
            "on_hand": stocked.on_hand,
            "cause": "initial",
        }
        events.append(event(seq, OPENED - timedelta(seconds=4), body))
        on_hand[stocked.facing] = stocked.on_hand
    for seq, moved in enumerate(truth.moved, 100):
        change = moved.on_hand - on_hand[moved.facing]
        body = {"facing": moved.facing, "change": change, "on_hand": moved.on_hand, "cause": moved.cause}
        events.append(event(seq, moved.at_rest_at + timedelta(seconds=0.5), body))
        on_hand[moved.facing] = moved.on_hand
    facings = [
        FacingSeen(facing=f.facing, gtin=f.gtin, on_hand=on_hand[f.facing], status="ok", confidence=1.0)
        for f in truth.opened.facings
    ]
    entered = sum(c.direction == "entered" for c in truth.crossed)
    return Seen(facings, events, entered, len(truth.crossed) - entered, catching_up=False, pending=0)


def verdicts(truth: Truth, seen: Seen) -> dict[str, str | None]:
    return {check.name: check.verdict for check in score(truth, seen).checks}


def failed(truth: Truth, seen: Seen) -> list[str]:
    result = score(truth, seen)
    bad = [check.name for check in result.checks if check.verdict == "fail"]
    assert result.passed == (not bad)
    return bad


def stock_of(seen: Seen, facing: str, cause: str) -> list[EventSeen]:
    bodies = [(e, e.stock()) for e in seen.events]
    return [e for e, body in bodies if body is not None and body.facing == facing and body.cause == cause]


def without(seen: Seen, gone: list[EventSeen]) -> Seen:
    return dataclasses.replace(seen, events=[e for e in seen.events if e not in gone])


def changed(seen: Seen, old: EventSeen, **fields: Any) -> Seen:
    new = EventSeen(**{f: fields.get(f, getattr(old, f)) for f in old.__struct_fields__})
    return dataclasses.replace(seen, events=[new if e is old else e for e in seen.events])


def test_a_store_that_is_seen_right_passes_every_check(truth: Truth) -> None:
    result = score(truth, perfect(truth))
    assert result.passed
    assert {c.verdict for c in result.checks[:3]} == {"pass"}
    assert 1.5 <= result.measures["present_again_s"] < 5
    assert 0.5 < result.measures["latency_p50_s"] < 4


def test_one_facing_of_twelve_off_by_one_fails_and_is_named(truth: Truth) -> None:
    seen = perfect(truth)
    first = seen.facings[0]
    assert first.on_hand is not None
    wrong = FacingSeen(
        **{f: getattr(first, f) for f in first.__struct_fields__} | {"on_hand": first.on_hand + 1}
    )
    result = score(truth, dataclasses.replace(seen, facings=[wrong, *seen.facings[1:]]))
    assert result.checks[0].verdict == "fail"
    assert "A1-01" in result.checks[0].result
    assert not result.passed


def test_a_facing_that_hq_does_not_know_is_not_exact(truth: Truth) -> None:
    seen = perfect(truth)
    assert "on-hand" in failed(truth, dataclasses.replace(seen, facings=seen.facings[1:]))


@pytest.mark.parametrize(("cause", "name"), [("pick", "picks"), ("return", "returns")])
def test_missed_events_fail_once_the_f1_is_below_the_threshold(truth: Truth, cause: str, name: str) -> None:
    seen = perfect(truth)
    events = [e for e in seen.events if (b := e.stock()) is not None and b.cause == cause]
    few, many = events[: len(events) // 20], events[: len(events) // 4]
    assert verdicts(truth, without(seen, few))[name] == "pass"
    assert verdicts(truth, without(seen, many))[name] == "fail"


def test_invented_picks_and_wrong_causes_fail_too(truth: Truth) -> None:
    seen = perfect(truth)
    doubled = [
        event(1000 + n, e.occurred_at, e.data)
        for n, e in enumerate(seen.events)
        if (b := e.stock()) is not None and b.cause == "pick"
    ]
    assert "picks" in failed(
        truth, dataclasses.replace(seen, events=seen.events + doubled[: len(doubled) // 2])
    )
    mistaken = [
        changed_cause(e) if (b := e.stock()) is not None and b.cause == "return" else e for e in seen.events
    ]
    assert "returns" in failed(truth, dataclasses.replace(seen, events=mistaken))


def changed_cause(old: EventSeen) -> EventSeen:
    return event(old.seq or 0, old.occurred_at, old.data | {"cause": "correction"})


@pytest.mark.parametrize(("lost", "passes"), [(1, True), (2, False)])
def test_footfall_may_be_off_by_a_tenth_and_no_more(truth: Truth, lost: int, passes: bool) -> None:
    assert 10 <= len(truth.crossed) < 20
    seen = perfect(truth)
    off = dataclasses.replace(seen, entered=seen.entered - lost)
    assert (verdicts(truth, off)["footfall in/out"] == "pass") is passes


def test_a_missed_entry_and_an_invented_exit_do_not_cancel_out(truth: Truth) -> None:
    seen = perfect(truth)
    off = dataclasses.replace(seen, entered=seen.entered - 1, exited=seen.exited + 1)
    assert failed(truth, off) == ["footfall in/out"]


def test_footfall_of_a_clip_without_truth_does_not_decide(truth: Truth) -> None:
    opened = Opened(**{f: getattr(truth.opened, f) for f in truth.opened.__struct_fields__} | {"door": False})
    blind = dataclasses.replace(truth, opened=opened, crossed=[])
    assert verdicts(blind, perfect(truth))["footfall in/out"] == "not scored"
    assert score(blind, perfect(truth)).passed


def test_an_event_that_hq_has_twice_fails(truth: Truth) -> None:
    seen = perfect(truth)
    twice = dataclasses.replace(seen, events=[*seen.events, seen.events[5]])
    assert "nothing lost or doubled" in failed(truth, twice)
    same_seq = changed(seen, seen.events[20], seq=seen.events[21].seq)
    assert failed(truth, same_seq) == ["nothing lost or doubled"]


def test_changes_that_do_not_add_up_fail(truth: Truth) -> None:
    seen = perfect(truth)
    restock = next(e for e in seen.events if (b := e.stock()) is not None and b.cause == "restock")
    assert failed(truth, without(seen, [restock])) == ["nothing lost or doubled"]


@pytest.mark.parametrize(
    "unfinished",
    [{"catching_up": True}, {"pending": 3}, {"pending": None}],
    ids=["catching up", "pending", "unsaid"],
)
def test_an_unfinished_sync_fails(truth: Truth, unfinished: dict[str, Any]) -> None:
    assert failed(truth, dataclasses.replace(perfect(truth), **unfinished)) == ["nothing lost or doubled"]


def in_the_cut(truth: Truth, seen: Seen) -> EventSeen:
    moved: ItemsMoved = next(m for m in truth.moved if CUT <= m.occurred_at <= BACK)
    return next(
        e
        for e in seen.events
        if (b := e.stock()) is not None and b.facing == moved.facing and e.occurred_at > moved.occurred_at
    )


def test_a_slow_return_to_the_present_fails(truth: Truth) -> None:
    seen = perfect(truth)
    for late_s, expected in ((9.0, []), (10.5, ["present after a cut"])):
        moved_facing = in_the_cut(truth, seen).stock()
        assert moved_facing is not None
        slow = [
            EventSeen(
                **{f: getattr(e, f) for f in e.__struct_fields__}
                | {"received_at": max(e.received_at, BACK + timedelta(seconds=late_s))}
            )
            if (b := e.stock()) is not None and b.facing == moved_facing.facing and e.occurred_at > CUT
            else e
            for e in seen.events
        ]
        assert failed(truth, dataclasses.replace(seen, events=slow)) == expected


def test_a_facing_that_never_comes_back_fails(truth: Truth) -> None:
    seen = perfect(truth)
    body = in_the_cut(truth, seen).stock()
    assert body is not None
    lost = [
        e
        for e in seen.events
        if e.occurred_at > CUT and (b := e.stock()) is not None and b.facing == body.facing
    ]
    assert "present after a cut" in failed(truth, without(seen, lost))


def test_events_received_while_the_line_was_cut_prove_that_it_was_not(truth: Truth) -> None:
    seen = perfect(truth)
    old = in_the_cut(truth, seen)
    assert "present after a cut" in failed(truth, changed(seen, old, received_at=BACK - timedelta(seconds=2)))


def test_a_line_that_never_came_back_fails(truth: Truth) -> None:
    cut = dataclasses.replace(truth, line=truth.line[:1])
    assert "present after a cut" in failed(cut, perfect(truth))


def test_without_a_cut_the_return_is_not_scored(truth: Truth) -> None:
    calm = dataclasses.replace(truth, line=[])
    assert verdicts(calm, perfect(truth))["present after a cut"] == "not scored"


def test_a_feed_without_anything_fails(truth: Truth) -> None:
    nothing = Seen([], [], 0, 0, catching_up=False, pending=0)
    bad = failed(truth, nothing)
    assert {
        "on-hand",
        "picks",
        "returns",
        "footfall in/out",
        "present after a cut",
    } <= set(bad)


# --- against a real server -----------------------------------------------------------------------


def write(truth: Truth, path: Path) -> None:
    with TruthFile(path) as file:
        for record in (truth.opened, *truth.moved, *truth.crossed, *truth.line):
            file.write(record)
        file.write(Closed(occurred_at=after(SECONDS)))


def hq_app(seen: Seen, *, page: int = 7) -> web.Application:
    """A server that answers as `interfaces.md` §3 says, in small pages."""

    def guarded(answer: Callable[[web.Request], dict[str, Any]]) -> Callable[..., Any]:
        async def handler(request: web.Request) -> web.Response:
            if request.headers.get("Authorization") != "Bearer viewer":
                return web.json_response({"title": "no"}, status=401)
            return web.json_response(answer(request))

        return handler

    def paged(request: web.Request, items: list[Any], cursor: str) -> tuple[list[Any], int]:
        start = int(request.query.get(cursor, "0"))
        return items[start : start + page], start + page

    def facings(request: web.Request) -> dict[str, Any]:
        rows = [
            {
                "facing": f.facing,
                "gtin": f.gtin,
                "on_hand": f.on_hand,
                "status": f.status,
                "confidence": 1.0,
                "x": 1,
            }
            for f in seen.facings
        ]
        items, following = paged(request, rows, "cursor")
        more = str(following) if following < len(rows) else None
        return {
            "items": items,
            "next_cursor": more,
            "as_of": rfc3339(OPENED),
            "catching_up": seen.catching_up,
        }

    def events(request: web.Request) -> dict[str, Any]:
        rows = [
            {
                "cursor": str(n),
                "store": "store-0042",
                "eid": e.eid,
                "seq": e.seq,
                "type": e.type,
                "data": e.data,
            }
            | {"occurred_at": rfc3339(e.occurred_at), "received_at": rfc3339(e.received_at)}
            for n, e in enumerate(seen.events)
        ]
        items, following = paged(request, rows, "after")
        return {"items": items, "next_cursor": str(min(following, len(rows)))}

    def footfall(request: web.Request) -> dict[str, Any]:
        assert parse_rfc3339(request.query["from"]) <= OPENED
        half = {"line": "door", "start": rfc3339(OPENED), "entered": seen.entered - 1, "exited": seen.exited}
        rest = {"line": "door", "start": rfc3339(after(30)), "entered": 1, "exited": 0}
        return {"items": [half, rest], "next_cursor": None, "as_of": rfc3339(OPENED), "catching_up": False}

    def stores(request: web.Request) -> dict[str, Any]:
        row = {
            "store": "store-0042",
            "name": "Demo",
            "status": "online",
            "facings": 12,
            "pending": seen.pending,
        }
        return {"items": [row], "next_cursor": None}

    application = web.Application()
    for path, answer in (
        ("/v1/stores", stores),
        ("/v1/stores/store-0042/facings", facings),
        ("/v1/stores/store-0042/footfall", footfall),
        ("/v1/events", events),
    ):
        application.router.add_get(path, guarded(answer))
    return application


async def test_a_score_is_read_from_rest_and_the_truth_file_alone(truth: Truth, tmp_path: Path) -> None:
    write(truth, tmp_path / "truth.jsonl")
    assert read_truth(tmp_path / "truth.jsonl").final_on_hand() == truth.final_on_hand()
    async with TestServer(hq_app(perfect(truth))) as server:
        result = await score_at_hq(str(server.make_url("")), "viewer", tmp_path / "truth.jsonl")
    assert result.passed, [c for c in result.checks if c.verdict == "fail"]


async def test_what_stands_between_us_and_hq_is_said_by_kind(truth: Truth, tmp_path: Path) -> None:
    write(truth, tmp_path / "truth.jsonl")
    async with TestServer(hq_app(perfect(truth))) as server:
        url = str(server.make_url(""))
        with pytest.raises(HqRejected):
            await score_at_hq(url, "stranger", tmp_path / "truth.jsonl")
        with pytest.raises(SyncError, match="404"):
            await score_at_hq(url, "viewer", tmp_path / "truth.jsonl", store="elsewhere")
    with pytest.raises(HqUnreachable):
        await score_at_hq(url, "viewer", tmp_path / "truth.jsonl")


def test_a_truth_file_that_is_none_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    path.write_text('{"truth": "opened"}\n')
    with pytest.raises(ConfigError, match=r"truth\.jsonl:1:1"):
        read_truth(path)
    path.write_text("")
    with pytest.raises(ConfigError, match="does not begin"):
        read_truth(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_truth(tmp_path / "absent")


def test_help_is_there_for_every_command() -> None:
    for command in ("run", "demo", "score"):
        result = CliRunner().invoke(app, [command, "--help"])
        assert result.exit_code == 0
        assert "Example:" in result.output


def test_stock_bodies_decode_only_from_stock_events(truth: Truth) -> None:
    seen = perfect(truth)
    assert isinstance(seen.events[0].stock(), StockSeen)
    other = changed(seen, seen.events[0], type="footfall.counted").events[0]
    assert other.stock() is None
    assert json.dumps(other.data)
