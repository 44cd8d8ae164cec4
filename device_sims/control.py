"""Commands to a running simulated store: faults, moves, what there is."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from device_sims.fault import Fault
from device_sims.store import SimulatedStore
from edge_agent.contract.errors import ConfigError, DeviceError, ShelfEdgeError
from edge_agent.service import command_socket


def listening(folder: Path, store: SimulatedStore) -> AbstractAsyncContextManager[None]:
    """Answer commands in `folder`, and be what a command without `--dir` finds."""
    fresh = _last_run().with_suffix(f".{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(folder)
    fresh.replace(_last_run())  # at once: two stores may start in the same moment
    return command_socket.listening(folder, lambda line: _answer(store, line))


async def ask(folder: Path | None, question: dict[str, Any]) -> dict[str, Any]:
    """The answer of the store in `folder`, by default of the one that was started last."""
    place = folder or _last_run()
    try:
        reply = await command_socket.ask(place, question)
    except TimeoutError:
        reply = {}
    except OSError:
        reply = None
    if reply == {}:
        raise DeviceError(
            f"the simulated store in {place} gave no answer", hint="it is stopping, or too busy"
        )
    if reply is None:
        raise DeviceError(
            f"no simulated store runs in {place}" if folder else "no simulated store runs",
            hint="start one with `device-sims run demo`, or name its folder with --dir",
        )
    if "error" in reply:
        raise ConfigError(reply["error"], hint=reply.get("hint", ""))
    answer: dict[str, Any] = reply["answer"]
    return answer


async def _answer(store: SimulatedStore, line: bytes) -> dict[str, Any]:
    try:
        return {"answer": await _do(store, json.loads(line))}
    except ShelfEdgeError as error:
        return {"error": error.message, "hint": error.hint}
    except ValidationError as error:
        said = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
        return {"error": "; ".join(f"{place}: {text}" if place else text for place, text in said)}
    except (ValueError, KeyError, TypeError) as error:
        return {"error": f"not a command: {error}"}


async def _do(store: SimulatedStore, question: dict[str, Any]) -> dict[str, Any]:
    match question.pop("do"):
        case "fault":
            return {"number": await store.begin(Fault.model_validate(question))}
        case "heal":
            return {"ended": await store.end(question["number"])}
        case "move":
            return store.move(question["facing"], int(question["change"]))
        case "status":
            return store.facts()
        case unknown:
            raise ValueError(f"{unknown!r}")


def _last_run() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"device-sims-{os.getuid()}"
