"""What the command `devices` tells: the configured devices and how they are, or what a scan has found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from edge_agent.config.devices import Device
from edge_agent.config.store import Mqtt, StoreSettings
from edge_agent.contract.errors import AgentUnreachable, DeviceError
from edge_agent.live.asking import ask_status
from edge_agent.live.recording import driver_of
from edge_agent.live.scanning import scan_ports, scan_topics

Inventory = dict[str, Any]

_PLACES = ("port", "address", "topic", "source")


async def configured(settings: StoreSettings) -> Inventory:
    """`{"running", "devices": [{"device", "driver", "place", "status", "reason", "identity"}]}`.

    The states are the running agent's; without one they are None.
    """
    try:
        answer = await ask_status(settings.agent.http)
    except AgentUnreachable:
        answer = None
    known = {state["device"]: state for state in answer["devices"]} if answer else {}
    rows = [_row(device, known.get(device.id, {})) for device in settings.devices]
    return {"running": answer is not None, "devices": rows}


async def scan(settings: StoreSettings | None, ports: Sequence[str]) -> Inventory:
    """`{"ports", "topics", "broker"}`: `topics` with a configured broker only, `broker` its problem."""
    found: Inventory = {"ports": [], "topics": [], "broker": None}

    async def broker(mqtt: Mqtt) -> None:
        try:
            found["topics"] = [topic.json() for topic in await scan_topics(mqtt)]
        except DeviceError as error:
            found["broker"] = error.message

    async with asyncio.TaskGroup() as group:
        scanning = group.create_task(scan_ports(ports), name="ports")
        if settings is not None and settings.mqtt is not None and settings.mqtt.url != "embedded":
            group.create_task(broker(settings.mqtt), name="broker")
    found["ports"] = [port.json() for port in scanning.result()]
    return found


def print_inventory(found: Inventory, console: Console) -> None:
    """For people; the lines to paste stand alone."""
    if "devices" in found:
        _print_configured(found, console)
    else:
        _print_scan(found, console)


def _row(device: Device, state: dict[str, Any]) -> dict[str, Any]:
    place = next((getattr(device, name) for name in _PLACES if hasattr(device, name)), None)
    known = {key: state.get(key) for key in ("status", "reason", "identity", "last_seen_at")}
    return {"device": device.id, "driver": driver_of(device), "place": _without_user(place), **known}


def _without_user(place: str | None) -> str | None:
    if place is None or "@" not in place:
        return place
    scheme, mark, rest = place.rpartition("://")
    return scheme + mark + rest.rpartition("@")[2]


def _print_configured(found: Inventory, console: Console) -> None:
    table = Table("device", "driver", "place", "state", "reason", box=None)
    for row in found["devices"]:
        table.add_row(
            row["device"], row["driver"], row["place"] or "-", row["status"] or "-", row["reason"] or ""
        )
    console.print(table)
    if not found["running"]:
        console.print("no agent is running: the states are not known")


def _print_scan(found: Inventory, console: Console) -> None:
    for port in found["ports"]:
        about = ", ".join(str(part) for part in (port["vid_pid"], port["maker"], port["description"]) if part)
        console.print(f"{port['port']}  {about}".rstrip())
        for name in port["names"]:
            console.print(f"  {name}")
        console.print(f"  {_verdict(port)}", markup=False)
    for topic in found["topics"]:
        console.print(f"{topic['topic']}\n  looks like {topic['driver']}", markup=False)
    if found["broker"]:
        console.print(found["broker"], markup=False)
    lines = [thing["line"] for thing in [*found["ports"], *found["topics"]] if thing["line"]]
    if lines:
        console.print("\ndevices:")
    for line in lines:
        console.print(f"  {line}", markup=False)
    if not found["ports"]:
        console.print("no serial port is here; name one with --port")


def _verdict(port: dict[str, Any]) -> str:
    if port["problem"]:
        return str(port["problem"])
    if port["driver"]:
        return f"answers to {port['driver']}" + (f" as {port['identity']}" if port["identity"] else "")
    if port["heard_bytes"]:
        return f"sends {port['heard_bytes']} bytes that no driver understands: another speed or protocol"
    return "answers to nothing that we speak"
