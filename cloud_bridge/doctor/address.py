"""Whether the bridge runs, and whether its address can be had and trusted."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from cloud_bridge import control
from cloud_bridge.config import Http
from cloud_bridge.doctor.certificate import not_after
from cloud_bridge.errors import DataDirBusy
from edge_agent.contract.errors import ShelfEdgeError
from edge_agent.contract.times import rfc3339, utc_now
from edge_agent.service.finding import Finding
from edge_agent.service.settings import is_loopback

EXPIRES_SOON: Final = timedelta(days=30)
_ANYBODYS: Final = 1024
"""Ports from here on need no capability."""

Running = dict[str, Any]
"""What a bridge says of itself; empty when it is too old to."""


async def running(data_dir: Path) -> tuple[Running | None, Finding]:
    """What the bridge on `data_dir` says of itself, None when none runs there, and what that means."""
    try:
        facts = await control.ask(data_dir, "status", {})
    except control.CommandRefused:
        return {}, Finding("warn", "bridge", "runs in another version", "restart cloud-bridge")
    except DataDirBusy as error:
        return {}, Finding("FAIL", "bridge", error.message, error.hint)
    except ShelfEdgeError as error:
        return None, Finding("FAIL", "bridge", f"cannot be asked: {error.message}", error.hint)
    if facts is None:
        return None, Finding("warn", "bridge", "not running", "cloud-bridge run, with the same bridge.yaml")
    return facts, _judged(facts)


async def examine(http: Http, running: Running | None) -> AsyncIterator[Finding]:
    """The port, and what protects it."""
    yield await _port(http, running)
    if http.cert_file is not None and http.key_file is not None:
        yield judge_certificate(http.cert_file, http.key_file, now=utc_now())
    elif not is_loopback(http.host):
        hint = "give http.cert_file and http.key_file, or use 127.0.0.1 behind a TLS proxy"
        yield Finding("warn", "TLS", f"none on {http.host}: tokens travel readable (allow_insecure)", hint)


def _judged(facts: Running) -> Finding:
    text = (
        f"runs at {facts['url']} for {timedelta(seconds=int(facts['uptime_s']))}, version {facts['version']}"
    )
    if not facts["is_writable"]:
        return Finding(
            "FAIL", "bridge", f"{text}, but can commit nothing", "restart cloud-bridge; see its log"
        )
    if facts["version"] != (ours := version("shelf-edge")):
        return Finding("warn", "bridge", f"{text}, this is {ours}", "restart cloud-bridge")
    return Finding("ok", "bridge", text)


async def _port(http: Http, running: Running | None) -> Finding:
    """Bound as the bridge binds it, on every address of the host; nothing listens there."""
    if running and http.port in (0, running["port"]):
        return Finding("ok", "port", f"{running['port']}, our own bridge has it")
    try:
        bound = await asyncio.get_running_loop().create_server(
            asyncio.Protocol, http.host, http.port, start_serving=False
        )
    except OSError as error:
        return judge_refusal(http, error, is_running=running is not None)
    bound.close()
    return Finding("ok", "port", f"{http.host}:{http.port} is free")


def judge_refusal(http: Http, error: OSError, *, is_running: bool) -> Finding:
    """What it means that this user cannot bind the address."""
    where = f"{http.host}:{http.port}"
    if error.errno == errno.EADDRINUSE and is_running:
        return Finding("warn", "port", f"{where} is taken, perhaps by the bridge that runs", "restart it")
    if error.errno == errno.EACCES and http.port < _ANYBODYS:
        hint = "run the doctor as the service's user, or give the service CAP_NET_BIND_SERVICE"
        text = f"{where}: this user may not bind it; the service's user may (CAP_NET_BIND_SERVICE)"
        return Finding("warn", "port", text, hint)
    hint = "stop what listens there (ss -ltnp shows it), or set another http.host or http.port"
    return Finding("FAIL", "port", f"{where} cannot be listened on: {error.strerror or error}", hint)


def judge_certificate(cert_file: Path, key_file: Path, *, now: datetime) -> Finding:
    """How long the certificate, shown with that key, is good from `now` on."""
    try:
        ends = not_after(cert_file, key_file)
    except ShelfEdgeError as error:
        return Finding("FAIL", "TLS", error.message, error.hint)
    hint = "renew it, then restart cloud-bridge"
    if ends <= now:
        return Finding("FAIL", "TLS", f"{cert_file} has expired at {rfc3339(ends)}: no store comes in", hint)
    if ends - now < EXPIRES_SOON:
        return Finding("warn", "TLS", f"{cert_file} expires at {rfc3339(ends)}", hint)
    return Finding("ok", "TLS", f"{cert_file} is good until {rfc3339(ends)}")
