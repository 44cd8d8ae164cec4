"""What the command `explain` asks of the running agent, and how it is printed."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from edge_agent.config.store import StoreSettings
from edge_agent.explanation import Explanation
from edge_agent.live.asking import ask_facing
from edge_agent.live.words import in_words

COLOURS = {"low": "yellow", "out": "red", "unknown": "magenta"}


async def explained(settings: StoreSettings, facing: str) -> dict[str, Any]:
    """The running agent's answer. Raises as `ask_facing`."""
    return await ask_facing(settings.agent.http, facing)


def print_explanation(answer: dict[str, Any], settings: StoreSettings, console: Console) -> None:
    """In words, with the times of the store's clock."""
    said = msgspec.convert(answer, Explanation)
    for line in in_words(said, settings.store.zone):
        headline = bool(line) and not line.startswith(" ")
        text = Text(line, style="bold" if headline else "")
        if line.startswith("  Status"):
            text.stylize(COLOURS.get(said.status, ""))
        console.print(text, soft_wrap=True)
