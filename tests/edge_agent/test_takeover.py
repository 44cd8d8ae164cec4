"""What HQ publishes, at the agent: judged whole, taken over in one transaction, and nothing behind it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from edge_agent.app import StoreAgent, build
from edge_agent.config.published import Published, with_published
from edge_agent.config.store import StoreSettings
from edge_agent.contract.errors import ConfigError, JournalError
from edge_agent.contract.messages import Command, PlanogramOrder
from edge_agent.contract.times import utc_now
from edge_agent.journal import Capture
from edge_agent.journal.published import from_text, read_published
from edge_agent.readings import Recount, WeightReading
from edge_agent.stock.belief import Belief

COLA, WATER = "06901234567892", "04006381333931"
PRODUCTS = [{"gtin": COLA, "unit_weight_g": 352.0}, {"gtin": WATER, "unit_weight_g": 500.0}]


def store(folder: Path, **more: Any) -> StoreSettings:
    """Two facings; a scale names A1, and nobody A2."""
    facings = [{"id": name, "gtin": COLA, "capacity": 9} for name in ("A1", "A2")]
    scale = {"id": "s1", "driver": "mt-sics", "port": "/dev/none", "facings": ["A1"]}
    return StoreSettings.model_validate(
        {
            "store": {"id": "s1"},
            "agent": {"data_dir": str(folder / "var"), "http": {"port": 0}, "retain_days": 2},
            "products": PRODUCTS[:1],
            "facings": facings,
            "devices": [scale],
            **more,
        }
    )


def planogram(number: int, gtins: dict[str, str], *, revision: int, **more: Any) -> Command:
    facings = [{"id": name, "gtin": gtin, "capacity": 9} for name, gtin in gtins.items()]
    body = {"revision": revision, "products": PRODUCTS, "facings": facings, **more}
    return Command(id=f"{number:032x}", kind="planogram", age_ms=0, body=body)


def settings_command(number: int, values: dict[str, Any], *, revision: int) -> Command:
    body = {"revision": revision, "settings": values}
    return Command(id=f"{number:032x}", kind="settings", age_ms=0, body=body)


def told(agent: StoreAgent, kind: str) -> list[dict[str, Any]]:
    return [json.loads(r.body) for r in agent.journal.rows_after(0, limit=1000) if r.kind == kind]


def kinds(agent: StoreAgent) -> list[str]:
    return [r.kind for r in agent.journal.rows_after(0, limit=1000)]


async def started(settings: StoreSettings) -> StoreAgent:
    agent = build(settings)
    await agent.tell_planogram()
    return agent


async def believing(settings: StoreSettings) -> StoreAgent:
    """The agent of a store that counted five on each facing."""
    agent = await started(settings)
    made = Capture()
    made.effects.beliefs += [Belief("A1", COLA, 5), Belief("A2", COLA, 5)]
    await asyncio.wrap_future(agent.journal.submit(made))
    agent.journal.close()
    return await started(settings)


async def test_a_planogram_its_state_and_its_fate_are_one_transaction(tmp_path: Path) -> None:
    agent = await believing(store(tmp_path))
    commits = agent.journal.commits
    await agent.pipeline.obey(planogram(1, {"A1": WATER, "A2": COLA, "A3": COLA}, revision=4))
    assert (agent.journal.commits, agent.pipeline.over.is_set()) == (commits + 1, True)
    assert kinds(agent)[-2:] == ["planogram.applied", "command.done"]
    assert told(agent, "planogram.applied")[-1]["revision"] == 4
    assert told(agent, "command.done") == [
        {"command": f"{1:032x}", "outcome": "applied", "reason": None, "newest": 4}
    ]
    assert [b.facing for b in agent.journal.present()[1].beliefs] == ["A2"]
    agent.journal.close()
    again = await started(store(tmp_path))
    assert again.published.revision == 4
    beliefs = again.pipeline.estimator.beliefs
    assert {name: (b.gtin, b.on_hand) for name, b in beliefs.items()} == {
        "A1": (WATER, None),
        "A2": (COLA, 5),
        "A3": (COLA, None),
    }
    assert [p["revision"] for p in told(again, "planogram.applied")] == [0, 4]
    again.journal.close()


async def test_nothing_folded_by_the_old_planogram_is_committed_behind_the_new_one(tmp_path: Path) -> None:
    agent = await believing(store(tmp_path))
    await agent.pipeline.obey(planogram(1, {"A1": WATER, "A2": COLA}, revision=1))
    last = agent.journal.durable_seq
    with pytest.raises(JournalError, match="taking over") as refused:
        await agent.pipeline.take(Recount("A1", 3))
    assert refused.value.hint
    weight = WeightReading("s1", None, 1056.0, stable=True, flags=(), occurred_at=utc_now())
    waiting = [
        asyncio.create_task(agent.pipeline.emit([weight])),
        asyncio.create_task(agent.pipeline.obey(planogram(2, {"A1": COLA}, revision=2))),
    ]
    await agent.pipeline.device_lost("s1", "E-LINK-LOST")
    done, _ = await asyncio.wait(waiting, timeout=0.2)
    assert done == set()  # told again to the parts that come
    assert agent.journal.durable_seq == last
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    agent.journal.close()


@pytest.mark.parametrize(
    ("gtins", "more", "reason"),
    [
        ({"A2": COLA}, {}, "devices.0.facings.0: facing 'A1' is not in facings"),
        ({"A1": "00000000000000", "A2": COLA}, {}, "has GTIN 00000000000000, which no product has"),
        ({"A1": "1"}, {}, "facings.0.gtin"),
        ({"A1": COLA}, {"products": 7}, "the body does not fit"),
        ({"A1": COLA}, {"revision": 0}, "the body does not fit"),
    ],
)
async def test_a_planogram_that_check_would_refuse_is_refused_and_leaves_all_as_it_was(
    tmp_path: Path, gtins: dict[str, str], more: dict[str, Any], reason: str
) -> None:
    agent = await believing(store(tmp_path))
    await agent.pipeline.obey(planogram(1, gtins, **{"revision": 1, **more}))
    [fate] = told(agent, "command.done")
    assert fate["outcome"] == "refused"
    assert reason in fate["reason"]
    assert not agent.pipeline.over.is_set()
    assert [b.facing for b in agent.journal.present()[1].beliefs] == ["A1", "A2"]
    assert len(told(agent, "planogram.applied")) == 1
    assert await agent.pipeline.take(Recount("A1", 3))
    agent.journal.close()
    assert read_published(tmp_path / "var") == Published()


async def test_a_drawing_of_the_camera_page_that_would_not_fit_is_a_reason(tmp_path: Path) -> None:
    camera = {
        "id": "cam",
        "driver": "camera",
        "source": "rtsp://127.0.0.1/x",
        "shelf_gap": {"facings": {"A1": [[0, 0], [9, 0], [9, 9]]}},
    }
    settings = store(tmp_path, devices=[camera])
    settings.agent.data_dir.mkdir()
    (settings.agent.data_dir / "cameras.patch.yaml").write_text(
        "devices: [{id: cam, shelf_gap: {facings: {A2: [[0, 0], [9, 0], [9, 9]]}}}]"
    )
    agent = await started(settings)
    await agent.pipeline.obey(planogram(1, {"A1": COLA}, revision=1))
    [fate] = told(agent, "command.done")
    assert "facing 'A2' is not in facings" in fate["reason"]
    agent.journal.close()


async def test_a_repeated_command_is_done_once_and_the_same_document_starts_nothing_anew(
    tmp_path: Path,
) -> None:
    agent = await started(store(tmp_path))
    first = planogram(1, {"A1": WATER}, revision=1)
    await agent.pipeline.obey(first)
    agent.journal.close()
    agent = await started(store(tmp_path))
    await agent.pipeline.obey(first)
    await agent.pipeline.obey(planogram(2, {"A1": WATER}, revision=1))  # HQ gave it another name
    assert not agent.pipeline.over.is_set()
    assert [f["outcome"] for f in told(agent, "command.done")] == ["applied", "applied"]
    assert [p["revision"] for p in told(agent, "planogram.applied")] == [0, 1]
    agent.journal.close()


async def test_what_is_older_or_was_put_aside_is_refused_and_hq_hears_the_newest(tmp_path: Path) -> None:
    agent = await started(store(tmp_path))
    await agent.pipeline.obey(planogram(1, {"A1": WATER}, revision=5))
    agent.journal.close()
    agent = await started(store(tmp_path))
    await agent.pipeline.obey(planogram(2, {"A1": COLA}, revision=4))
    assert await agent.pipeline.reset_planogram()
    agent.journal.close()
    agent = await started(store(tmp_path))
    assert agent.published.revision == 0
    assert not await agent.pipeline.reset_planogram()
    await agent.pipeline.obey(planogram(3, {"A1": WATER}, revision=5))
    fates = told(agent, "command.done")
    assert [(f["outcome"], f["newest"]) for f in fates] == [("applied", 5), ("refused", 5), ("refused", 5)]
    assert "is older than 5" in fates[1]["reason"]
    assert "went back to the file's planogram from revision 5" in fates[2]["reason"]
    assert [(p["revision"], p["reset_of"]) for p in told(agent, "planogram.applied")] == [
        (0, 0),
        (5, 0),
        (0, 5),
    ]
    await agent.pipeline.obey(planogram(4, {"A1": WATER}, revision=6))
    assert agent.pipeline.over.is_set()
    agent.journal.close()


async def test_settings_lie_over_the_files_and_a_planogram_keeps_them(tmp_path: Path) -> None:
    agent = await started(store(tmp_path))
    mine = {"agent": {"disk_quota_mb": 64, "stock": {"tag_power": 0.5}}}
    await agent.pipeline.obey(settings_command(1, mine, revision=1))
    agent.journal.close()
    agent = await started(store(tmp_path))
    await agent.pipeline.obey(planogram(2, {"A1": WATER}, revision=1))
    agent.journal.close()
    agent = await started(store(tmp_path))
    used = agent.settings.agent
    assert (used.disk_quota_mb, used.retain_days, used.stock.tag_power) == (64, 2, 0.5)
    assert used.data_dir == tmp_path / "var"
    await agent.pipeline.obey(settings_command(3, {}, revision=2))
    agent.journal.close()
    agent = await started(store(tmp_path))
    assert agent.settings.agent == store(tmp_path).agent
    assert agent.published.revision == 1
    agent.journal.close()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"agent": {"data_dir": "./x"}}, "agent.data_dir: cannot be set by HQ"),
        ({"agent": {"http": {"port": 1}}, "uplink": {}}, "uplink, agent.http: cannot be set"),
        ({"agent": 7}, "agent: cannot be set"),
        ({"agent": {"retain_days": -1}}, "agent.retain_days: Input should be greater"),
        ({"agent": {"stock": {"tag_power": 2, "magic": 1}}}, "agent.stock.magic: Extra inputs"),
    ],
)
async def test_settings_that_may_not_be_set_are_refused_with_what_may(
    tmp_path: Path, values: dict[str, Any], reason: str
) -> None:
    agent = await started(store(tmp_path))
    await agent.pipeline.obey(settings_command(1, values, revision=1))
    [fate] = told(agent, "command.done")
    assert (fate["outcome"], agent.pipeline.over.is_set()) == ("refused", False)
    assert reason in fate["reason"]
    if "cannot be set" in reason:
        assert (
            "agent.commit_window_ms, agent.disk_quota_mb, agent.retain_days, agent.stock.*" in fate["reason"]
        )
    agent.journal.close()


async def test_a_file_that_no_longer_fits_says_so_and_lets_go_of_the_journal(tmp_path: Path) -> None:
    agent = await started(store(tmp_path))
    await agent.pipeline.obey(planogram(1, {"A1": WATER}, revision=1))
    agent.journal.close()
    scale = {"id": "s2", "driver": "mt-sics", "port": "/dev/none", "facings": ["A2"]}
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"revision 1.*facing 'A2' is not in facings") as wrong:
            build(store(tmp_path, devices=[scale]))
    assert "planogram reset" in wrong.value.hint


def test_what_a_newer_version_kept_is_an_error_and_no_journal_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="not understood"):
        from_text('{"planogram": 7}')
    assert read_published(tmp_path) == Published()
    (tmp_path / "journal.db").write_bytes(b"no database, but long enough to be looked at" * 30)
    assert read_published(tmp_path) == Published()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.dictionaries(st.sampled_from(["gtin", "name", "new"]), json_values, max_size=3), max_size=2),
    st.lists(
        st.dictionaries(st.sampled_from(["id", "gtin", "capacity"]), json_values, max_size=3), max_size=2
    ),
)
def test_whatever_comes_is_in_use_whole_or_a_clear_refusal(
    tmp_path: Path, products: list[dict[str, Any]], facings: list[dict[str, Any]]
) -> None:
    order = PlanogramOrder(revision=1, products=products, facings=facings)
    try:
        used, problems = with_published(store(tmp_path), Published(planogram=order)), None
    except ConfigError as error:
        used, problems = None, error.problems
    if used is None:
        assert problems
        assert all("revision 1" in problem for problem in problems)
    else:
        assert "A1" in {facing.id for facing in used.facings}
