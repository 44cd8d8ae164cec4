"""What HQ publishes for the store: judged whole against its own configuration, taken over in one capture."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any, Final, TypeVar

import msgspec

from edge_agent.config.drawn import with_drawn
from edge_agent.config.published import Published, with_published
from edge_agent.config.store import StoreSettings
from edge_agent.contract.errors import ConfigError, DoesNotFit
from edge_agent.contract.messages import PlanogramApplied, PlanogramOrder, SettingsOrder, encode
from edge_agent.journal import Capture
from edge_agent.journal.published import PUBLISHED, to_text
from edge_agent.moment import Moment

Order = TypeVar("Order", bound=msgspec.Struct)

TOLD: Final = "planogram"
"""The identity key with the digest of the planogram that HQ was told of."""
LONGEST_REASON: Final = 2_000


class Takeover:
    """Puts what HQ wants, or a step back from it, into a capture. What is refused leaves no trace there.

    True from a call means: once the capture is durable, the agent's parts are to be built anew.
    """

    def __init__(self, written: StoreSettings, published: Published) -> None:
        """`written` are the settings of the file alone, `published` is what is in use."""
        self._written, self._published = written, published

    def newest(self, kind: str) -> int:
        """The highest revision of HQ's that this store knows, also one that was put aside; 0: none."""
        known = self._published
        if kind == "settings":
            return 0 if known.settings is None else known.settings.revision
        return max(known.revision, known.reset_of) if kind == "planogram" else 0

    def planogram(self, body: dict[str, Any], now: Moment, capture: Capture) -> bool:
        """Use another planogram of HQ's. DoesNotFit with everything that is wrong with it."""
        order = _order(body, PlanogramOrder)
        known = self._published
        if order == known.planogram:
            return False
        if order.revision < known.revision:
            raise DoesNotFit(f"revision {order.revision} is older than {known.revision}, which is in use")
        if order.revision <= known.reset_of:
            raise DoesNotFit(
                f"somebody at the store went back to the file's planogram from revision {known.reset_of}: "
                "publish a new one"
            )
        self._use(replace(known, planogram=order, reset_of=0), now, capture)
        return True

    def settings(self, body: dict[str, Any], now: Moment, capture: Capture) -> bool:
        """Use other settings of HQ's. DoesNotFit with everything that is wrong with them."""
        order = _order(body, SettingsOrder)
        known = self._published.settings
        if order == known:
            return False
        if known is not None and order.revision < known.revision:
            raise DoesNotFit(f"revision {order.revision} is older than {known.revision}, which is in use")
        self._use(replace(self._published, settings=order), now, capture)
        return True

    def reset(self, now: Moment, capture: Capture) -> bool:
        """Go back to the file's planogram; False when that one is in use. DoesNotFit: a drawing would not."""
        if not self._published.revision:
            return False
        back = replace(self._published, planogram=None, reset_of=self._published.revision)
        self._use(back, now, capture)
        return True

    def _use(self, published: Published, now: Moment, capture: Capture) -> None:
        try:
            settings = with_drawn(with_published(self._written, published))
        except ConfigError as error:
            raise DoesNotFit("; ".join(error.problems)[:LONGEST_REASON], hint=error.hint) from error
        if published.planogram != self._published.planogram:
            body = applied(settings, published.revision)
            tell(capture, msgspec.structs.replace(body, reset_of=published.reset_of), now)
            capture.facings = {facing.id: facing.gtin for facing in settings.facings}
        capture.remembered[PUBLISHED] = to_text(published)
        self._published = published


def applied(settings: StoreSettings, revision: int) -> PlanogramApplied:
    """The planogram of `settings`, as HQ is told of it."""
    plan = settings.planogram
    return PlanogramApplied(
        revision=revision,
        products=[p.model_dump(mode="json") for p in plan.products],
        facings=[f.model_dump(mode="json") for f in plan.facings],
    )


def digest_of(body: PlanogramApplied) -> str:
    """What is kept under `TOLD`: the same for the same planogram, whoever it was that changed it."""
    return sha256(encode(msgspec.structs.replace(body, reset_of=0))).hexdigest()


def tell(capture: Capture, body: PlanogramApplied, now: Moment) -> None:
    """Let HQ be told of the planogram in use, once."""
    capture.effects.tell("planogram.applied", body, now.at)
    capture.remembered[TOLD] = digest_of(body)


def _order(body: dict[str, Any], kind: type[Order]) -> Order:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise DoesNotFit(f"the body does not fit: {error}") from error
