"""A camera before a shelf, from its drawn stream over the agent to HQ: a place is emptied, and filled again."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from device_sims.cli import main
from tests.typed import typed

SCENARIO = """
seconds: 600
store: {id: store-0042, name: Watched shelf, timezone: Asia/Shanghai}
products:
  - {gtin: "06901234100013", name: Cola, unit_weight_g: 352.0, unit_weight_sd_g: 3.5}
  - {gtin: "06901234104127", name: Crisps, unit_weight_g: 86.0, unit_weight_sd_g: 0.9}
facings:
  - {id: A1-01, gtin: "06901234100013", capacity: 6, reorder_point: 2, on_hand: 6, shelf: A1, x_mm: 0, width_mm: 300}
  - {id: A1-02, gtin: "06901234104127", capacity: 6, reorder_point: 2, on_hand: 6, shelf: A1, x_mm: 300, width_mm: 300}
devices:
  - {id: cam-a, kind: shelf-camera, fps: 2, every_s: 2}
people: {shoppers_per_minute: 0}
"""


TOKEN = "staff-secret"


@pytest.fixture
def shelf(world: Any, wait_for: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The simulated store in a folder, with an agent and HQ."""
    folder = world.folder / "sim"
    folder.mkdir()
    (folder / "scenario.yaml").write_text(SCENARIO)
    command = [sys.executable, "-m", "device_sims", "run", str(folder / "scenario.yaml"), "--seed", "3"]
    world.start("sim", *command, "--dir", str(folder), "--json")
    wait_for(lambda: '"ready"' in world.log("sim"), seconds=30, what="the simulated store is open")
    made = yaml.safe_load((folder / "store.yaml").read_text())
    body = {key: made[key] for key in ("products", "facings", "devices")}
    world.write_store(yaml.safe_dump(body, allow_unicode=True))
    (world.folder / "staff.token").write_text(TOKEN)
    monkeypatch.setenv("EDGE_AGENT__AGENT__HTTP__TOKEN_FILE", str(world.folder / "staff.token"))
    return folder


def restocked(world: Any, body: dict[str, Any]) -> Any:
    url = f"http://127.0.0.1:{world.edge_port}/v1/cameras/cam-a/restocked"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Authorization": f"Bearer {TOKEN}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def move(folder: Path, facing: str, change: int) -> None:
    assert typed(main, "move", facing, str(change), "--dir", str(folder)).status == 0


def told(world: Any, kind: str) -> list[str]:
    return [event["data"]["facing"] for event in world.events(kind)]


def test_an_emptied_place_opens_a_gap_at_hq_and_a_filled_one_closes_it(
    shelf: Path, world: Any, wait_for: Any
) -> None:
    world.start_hq()
    world.start_agent()
    wait_for(lambda: restocked(world, {})[0] != 404, what="the camera is known")
    assert restocked(world, {"facings": ["B9"]})[0] == 404
    assert restocked(world, {}) == (202, {"device": "cam-a", "facings": ["A1-01", "A1-02"]})
    wait_for(
        lambda: (world.on_hand("A1-01") or 0) > 0 and (world.on_hand("A1-02") or 0) > 0,
        seconds=40,
        what="both places are seen to be stocked",
    )
    assert told(world, "gap.opened") == []
    assert world.facings()["A1-01"]["sources"] == ["camera"]
    move(shelf, "A1-01", -6)
    wait_for(lambda: told(world, "gap.opened") == ["A1-01"], seconds=40, what="the gap at HQ")
    [opened] = world.events("gap.opened")
    assert opened["data"]["device"] == "cam-a"
    assert opened["data"]["fill"] < 0.5
    assert world.on_hand("A1-01") == 0
    move(shelf, "A1-01", 6)
    wait_for(lambda: told(world, "gap.closed") == ["A1-01"], seconds=40, what="the end of the gap at HQ")
    assert told(world, "gap.opened") == ["A1-01"]
    assert (world.on_hand("A1-01") or 0) > 0
    assert (world.folder / "edge/cameras/cam-a/baseline.npz").exists()
