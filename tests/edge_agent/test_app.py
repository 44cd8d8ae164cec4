"""The whole agent, built from a configuration: what it trusts and what it restores."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
import tty
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from edge_agent import app
from edge_agent.app import build
from edge_agent.config.store import StoreSettings
from edge_agent.contract.errors import ConfigError
from edge_agent.contract.times import parse_rfc3339, utc_now
from edge_agent.drivers import link
from edge_agent.health import Condition
from edge_agent.journal import Capture, Journal
from edge_agent.moment import Moment
from edge_agent.stock.belief import Belief

GTIN = "06901234567892"


def settings(folder: Path, **more: object) -> StoreSettings:
    (folder / "token").write_text("secret")
    agent = {"data_dir": str(folder / "var"), "http": {"port": 0}}
    return StoreSettings.model_validate({"store": {"id": "s1"}, "agent": agent, **more})


def uplink(folder: Path, url: str, **more: object) -> dict[str, object]:
    return {"url": url, "token_file": str(folder / "token"), **more}


@pytest.mark.parametrize("trusted", [True, False])
async def test_an_authority_of_ones_own_is_trusted_when_named(
    tmp_path: Path, own_certificate: tuple[Path, Path], trusted: bool
) -> None:
    key, certificate = own_certificate
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    asked = asyncio.Event()

    async def answer(_request: web.Request) -> web.Response:
        asked.set()
        return web.Response(status=503)

    app = web.Application()
    app.router.add_post("/v1/sync/hello", answer)
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    more = {"ca_file": str(certificate)} if trusted else {}
    agent = build(settings(tmp_path, uplink=uplink(tmp_path, url, **more)))
    assert agent.uplink is not None
    task = asyncio.create_task(agent.uplink.run())
    async with asyncio.timeout(20):
        status = agent.uplink.status
        while not asked.is_set() and "certificate" not in (status.problem or "").lower():  # noqa: ASYNC110  # a problem has no event
            await asyncio.sleep(0.01)
    assert asked.is_set() is trusted
    task.cancel()
    await asyncio.wait([task])
    agent.journal.close()
    await runner.cleanup()


def test_an_authority_that_is_no_pem_file_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "absent.pem"):
        line = uplink(tmp_path, "https://127.0.0.1:1", ca_file=str(tmp_path / name))
        with pytest.raises(ConfigError, match="ca_file"):
            build(settings(tmp_path, uplink=line))


def test_a_device_that_never_speaks_after_a_restart_is_silent_in_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "var")
    made = Capture()
    made.conditions.append(Condition("s1", "mt-sics", "online", None, utc_now(), utc_now()))
    journal.submit(made).result(5)
    journal.close()
    scale = {"id": "s1", "driver": "mt-sics", "port": "/dev/none", "expect_every_s": 5}
    agent = build(settings(tmp_path, devices=[scale]))
    later = Moment(utc_now(), agent.started_s + 60)
    assert [(c.status, c.reason) for c in agent.pipeline.health.tick(later)] == [("degraded", "silent")]
    agent.journal.close()


def test_a_facing_on_the_agents_own_page_says_when_it_is_due(tmp_path: Path) -> None:
    facing = {"id": "A1", "gtin": GTIN, "capacity": 9}
    agent = build(settings(tmp_path, products=[{"gtin": GTIN}], facings=[facing]))
    assert agent.facings()[0]["reorder_due_at"] is None
    due = parse_rfc3339("2026-11-22T16:40:00.000Z")
    agent.pipeline.estimator.beliefs["A1"] = Belief("A1", GTIN, 5, reorder_due_at=due)
    assert agent.facings()[0]["reorder_due_at"] == "2026-11-22T16:40:00.000Z"
    agent.journal.close()


async def test_a_facing_that_the_planogram_dropped_is_not_in_the_present_any_more(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "var")
    made = Capture()
    made.effects.beliefs += [Belief("A1", GTIN, 5), Belief("A2", GTIN, 5)]
    journal.submit(made).result(5)
    journal.close()
    facing = {"id": "A1", "gtin": GTIN, "capacity": 9}
    agent = build(settings(tmp_path, products=[{"gtin": GTIN}], facings=[facing]))
    await agent.tell_planogram()
    assert [belief.facing for belief in agent.journal.present()[1].beliefs] == ["A1"]
    agent.journal.close()


async def test_a_device_that_the_configuration_dropped_is_told_once_and_forgotten(tmp_path: Path) -> None:
    """HQ would show it as it last was; one that was added is offline until it answers."""
    journal = Journal(tmp_path / "var")
    made = Capture()
    made.conditions += [
        Condition(name, "mt-sics", "online", None, utc_now(), utc_now()) for name in ("s1", "s2")
    ]
    journal.submit(made).result(5)
    journal.close()
    kept = [{"id": name, "driver": "mt-sics", "port": f"/dev/{name}"} for name in ("s2", "s3")]
    for start in range(2):
        agent = build(settings(tmp_path, devices=kept))
        await agent.tell_planogram()
        conditions = agent.pipeline.health.conditions
        assert {name: c.status for name, c in conditions.items()} == {"s2": "online", "s3": "offline"}, start
        assert [c.device for c in agent.journal.present()[1].conditions] == ["s2"], start
        rows = agent.journal.rows_after(0, limit=100)
        told = [row.body for row in rows if row.kind == "device.changed"]
        assert len(told) == 1
        assert '"device":"s1"' in told[0]
        assert '"offline"' in told[0]
        agent.journal.close()


async def test_a_device_that_became_another_kind_is_not_as_it_was(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "var")
    made = Capture()
    made.conditions.append(Condition("s1", "mt-sics", "online", None, utc_now(), utc_now()))
    journal.submit(made).result(5)
    journal.close()
    agent = build(settings(tmp_path, devices=[{"id": "s1", "driver": "toledo-8217", "port": "/dev/s1"}]))
    assert agent.pipeline.health.conditions["s1"].reason == "not seen yet"
    agent.journal.close()


async def test_ports_that_hang_while_they_are_opened_hold_up_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wedged adapter blocks whoever opens it; there are more of them than this machine has cores for."""
    release, opening = threading.Event(), link._claim_tty

    def hang(port: str, options: dict[str, Any]) -> Any:
        if "wedged" in port:
            release.wait(20)
        return opening(port, options)

    monkeypatch.setattr(link, "_claim_tty", hang)
    master, slave = os.openpty()
    devices = [{"id": f"w{n}", "driver": "mt-sics", "port": f"/dev/wedged{n}"} for n in range(40)]
    devices.append({"id": "good", "driver": "toledo-8217", "port": os.ttyname(slave)})
    agent, stop = build(settings(tmp_path, devices=devices)), asyncio.Event()
    os.set_blocking(master, False)
    tty.setraw(slave)
    asyncio.get_running_loop().add_reader(
        master, lambda: os.read(master, 9) and os.write(master, b"\x0201.234\r")
    )
    running = asyncio.create_task(agent.run(stop))
    try:
        async with asyncio.timeout(10):
            while agent.pipeline.health.conditions["good"].status != "online":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        release.set()
        stop.set()
        await running
        agent.journal.close()
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)
        os.close(slave)


async def test_a_start_on_a_full_disk_ends_when_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [{"id": f"A{n}", "gtin": GTIN, "capacity": 9} for n in range(300)]
    made = build(settings(tmp_path, products=[{"gtin": GTIN}], facings=many))
    made.journal.limit_pages(1)
    monkeypatch.setattr(app, "build", lambda _: made)
    stop = asyncio.Event()
    running = asyncio.create_task(app.run(made.settings, stop))
    async with asyncio.timeout(10):
        while made.journal.refusal is None:  # noqa: ASYNC110  # the journal's thread says so
            await asyncio.sleep(0.01)
        assert not running.done()
        stop.set()
        await running
