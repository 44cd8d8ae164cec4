"""What HQ has published for this store, laid over `store.yaml`: its planogram, and a few tunables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from edge_agent.config.store import Agent, StoreSettings
from edge_agent.contract.errors import ConfigError
from edge_agent.contract.messages import PlanogramOrder, SettingsOrder
from edge_agent.contract.planogram import Facing, Planogram, Product

SETTABLE: Final = ("commit_window_ms", "disk_quota_mb", "retain_days", "stock")
"""Keys of `agent` that HQ may set: none of them can cut the line, open a door or move a file."""
_NAMED: Final = ", ".join(f"agent.{key}.*" if key == "stock" else f"agent.{key}" for key in SETTABLE)
_BACK: Final = "make store.yaml fit it, or go back to the file's: edge-agent planogram reset"


@dataclass(frozen=True, slots=True)
class Published:
    """What the journal keeps of HQ's. `reset_of`: the planogram that somebody at the store put aside."""

    planogram: PlanogramOrder | None = None
    settings: SettingsOrder | None = None
    reset_of: int = 0

    @property
    def revision(self) -> int:
        """Of the planogram in use: HQ's, or 0 for the file's."""
        return 0 if self.planogram is None else self.planogram.revision

    @property
    def source(self) -> str:
        """Which planogram is in use, in words."""
        return f"HQ's planogram, revision {self.revision}" if self.revision else "the file's planogram"


def with_published(settings: StoreSettings, published: Published) -> StoreSettings:
    """The settings of the file with HQ's over them.

    ConfigError, a problem a line, when they do not go together: the file may have changed since.
    """
    if published.settings is not None:
        settings = _with_settings(settings, published.settings)
    if published.planogram is not None:
        settings = _with_planogram(settings, published.planogram)
    return settings


def planogram_of(order: PlanogramOrder) -> Planogram:
    """HQ's planogram, checked. ConfigError. Keys that a newer HQ added are left out."""
    products = [{k: v for k, v in p.items() if k in Product.model_fields} for p in order.products]
    facings = [{k: v for k, v in f.items() if k in Facing.model_fields} for f in order.facings]
    try:
        return Planogram.model_validate({"products": products, "facings": facings})
    except ValidationError as error:
        raise _refused(f"HQ's planogram, revision {order.revision}", _sentences(error), hint=_BACK) from error


def _with_planogram(settings: StoreSettings, order: PlanogramOrder) -> StoreSettings:
    plan = planogram_of(order)
    over = settings.model_copy(update={"products": plan.products, "facings": plan.facings})
    problems = [f"{'.'.join(map(str, place))}: {text}" for place, text in over.problems()]
    if problems:
        raise _refused(f"HQ's planogram, revision {order.revision}", problems, hint=_BACK)
    return over


def _with_settings(settings: StoreSettings, order: SettingsOrder) -> StoreSettings:
    what = f"HQ's settings, revision {order.revision}"
    strangers = _strangers(order.settings)
    if strangers:
        raise _refused(what, [f"{', '.join(strangers)}: cannot be set by HQ, what can: {_NAMED}"])
    agent = settings.agent.model_dump(by_alias=True, exclude_unset=True)
    try:
        changed = Agent.model_validate(_merged(agent, order.settings.get("agent", {})))
    except ValidationError as error:
        raise _refused(what, [f"agent.{sentence}" for sentence in _sentences(error)]) from error
    return settings.model_copy(update={"agent": changed})


def _strangers(settings: Mapping[str, Any]) -> list[str]:
    """Keys that HQ may not set, by their full names."""
    found = [key for key in settings if key != "agent"]
    agent = settings.get("agent", {})
    if not isinstance(agent, Mapping):
        return [*found, "agent"]
    return found + [f"agent.{key}" for key in agent if key not in SETTABLE]


def _merged(below: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(below)
    for key, value in over.items():
        under = both.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            both[key] = _merged(under, value)
        else:
            both[key] = value
    return both


def _sentences(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(map(str, item['loc'])) or 'planogram'}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors(include_url=False, include_input=False)
    ]


def _refused(what: str, problems: list[str], *, hint: str = "") -> ConfigError:
    told = tuple(f"{what}: {problem}" for problem in problems)
    return ConfigError(f"{what} cannot be used: {'; '.join(problems)}", hint=hint, problems=told)
