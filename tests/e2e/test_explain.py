"""`edge-agent explain` as a person types it, of an agent that reads scales over TCP."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from edge_agent.cli import main
from tests.typed import typed

GTIN = "06901234567892"


def explain(store: Path, *words: str, status: int = 0) -> tuple[str, str]:
    done = typed(main, "explain", *words, "-c", str(store))
    assert done.status == status, done.err + done.out
    return done.out, done.err


def facts(world: Any, facing: str) -> Any:
    url = f"http://127.0.0.1:{world.edge_port}/v1/facings/{facing}"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def test_a_person_asks_why(world: Any, scales: Any, wait_for: Any) -> None:
    world.write_store(scales.devices())
    _, err = explain(world.store_yaml, "A1-00", status=3)
    assert "E-AGENT-UNREACHABLE" in err
    world.start_agent()
    wait_for(lambda: facts(world, "A1-00")["on_hand"] == 10, what="the first count")
    scales.counts[0] = 8
    wait_for(lambda: facts(world, "A1-00")["on_hand"] == 8, what="two taken")
    _, err = explain(world.store_yaml, "A1-77", status=2)
    assert err == (
        "Error: there is no facing 'A1-77' in this store's planogram\nTry: known: A1-00, A1-01, A1-02\n"
    )

    scales.unplug(0)
    wait_for(lambda: facts(world, "A1-00")["devices"][0]["status"] == "offline", what="the scale is lost")
    out, _ = explain(world.store_yaml, "A1-00")
    assert out.startswith(f"A1-00  Cola  ({GTIN})\n  On hand     8, room for 24, to be reordered at 3\n")
    assert "−2 →   8  taken" in out
    assert "\nSilent\n  scale-00 offline since " in out
    assert "when it was last heard" in " ".join(out.split())
    assert "\x1b" not in out
    assert max(len(line) for line in out.splitlines()) <= 80

    told = json.loads(explain(world.store_yaml, "A1-00", "--json")[0])
    assert (told["on_hand"], told["plate"]["items"][0]["on_hand"]) == (8, 8)
    assert [one["cause"] for one in told["changes"]] == ["pick", "initial"]

    world.stop("agent")
    world.start_agent()
    told = facts(world, "A1-00")
    assert (told["on_hand"], told["interval"]) == (8, None)  # no evidence yet since the start
    assert [one["cause"] for one in told["changes"]] == ["pick", "initial"]
    assert "8, room for 24" in explain(world.store_yaml, "A1-00")[0]
