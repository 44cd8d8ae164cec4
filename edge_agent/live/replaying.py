"""A recording through the very decoder of its driver, without the device."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_agent.contract.errors import ConfigError
from edge_agent.drivers.decode import decoder_for, reading_json
from edge_agent.live.recording import Damage, Recording, read_recording
from edge_agent.readings import Reading


@dataclass(frozen=True, slots=True)
class Complaint:
    """What could not be replayed. `damaged`: the file is to blame, not what the device said."""

    text: str
    damaged: bool = False


def replay(
    path: Path, *, pace: bool = False, sleep: Callable[[float], object] = time.sleep
) -> Iterator[dict[str, object] | Complaint]:
    """Readings as `decode` prints them, with the recorded device; complaints stand where they arose.

    With `pace` each piece comes at its recorded time. ConfigError when the file is no recording.
    """
    try:
        with path.open("rb") as file:
            yield from _replayed(read_recording(file), pace, sleep)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def _replayed(
    recording: Recording, pace: bool, sleep: Callable[[float], object]
) -> Iterator[dict[str, object] | Complaint]:
    decoder = decoder_for(recording.settings)
    yield from map(Complaint, recording.ignored)
    began_s, t_s = time.monotonic(), 0.0
    for piece in recording.pieces:
        if isinstance(piece, Damage):
            yield Complaint(piece.text, damaged=not piece.torn)
            continue
        t_s = piece.t_s
        if pace:
            sleep(max(0.0, began_s + t_s - time.monotonic()))
        yield from _shown(decoder.feed(piece.heard), t_s)
    yield from _shown(decoder.end(), t_s)


def _shown(found: Iterator[Reading | str], t_s: float) -> Iterator[dict[str, object] | Complaint]:
    for item in found:
        shown = Complaint(f"{t_s:.3f} s: {item}") if isinstance(item, str) else reading_json(item)
        if shown is not None:
            yield shown
