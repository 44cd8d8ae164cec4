"""All that the agent can say of one facing: its account, its sensors, what tills told, its last changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import islice, zip_longest

from msgspec import Struct

from edge_agent.contract.messages import Cause, DeviceState, FacingStatus, StockChanged
from edge_agent.contract.planogram import Facing
from edge_agent.contract.times import rfc3339
from edge_agent.health import Condition
from edge_agent.intake import said_by
from edge_agent.journal import Journal
from edge_agent.journal.history import changes_of, lines_since, looked_back_to
from edge_agent.moment import Moment
from edge_agent.stock.account import Account

CHANGES, READ = 8, 40
"""So many changes are told, of so many rows at most: some only say that it is a little surer."""
TRADE_FOR = timedelta(hours=24)


class Change(Struct, frozen=True, kw_only=True):
    """What HQ was told: `change` is 0 where only the status or the reasons are others."""

    at: str
    on_hand: int | None
    change: int
    cause: Cause
    confidence: float
    status: FacingStatus
    reasons: list[str]


class Counted(Struct, frozen=True, kw_only=True):
    """Somebody counted by hand."""

    at: str
    on_hand: int | None


class Trade(Struct, frozen=True, kw_only=True):
    """Items that tills sold (less what came back) and suppliers brought, as told since `since`.

    Sales are of the item, wherever it stands; deliveries are onto this facing or into the back room.
    """

    since: str
    sold: int
    sold_last_at: str | None
    delivered: int
    delivered_last_at: str | None


class Explanation(Account, frozen=True, kw_only=True):
    """The answer of `GET /v1/facings/{id}`, at `asked_at`. `names`: GTIN to name of every item in it.

    `devices`: those that look at the facing. `changes`: the newest first; the journal holds (or was read
    for) none before `changes_since`. `counted`: the newest of them that a person counted.
    """

    asked_at: str
    capacity: int
    reorder_point: int
    names: dict[str, str]
    devices: list[DeviceState]
    counted: Counted | None
    trade: Trade
    changes: list[Change]
    changes_since: str | None


def explanation(
    account: Account,
    facing: Facing,
    now: Moment,
    *,
    journal: Journal,
    names: Mapping[str, str],
    conditions: Mapping[str, Condition],
) -> Explanation:
    """Reads the journal, which takes a while: to be called in a thread, with what the loop owns copied."""
    told = list(islice(changes_of(journal, account.facing), READ))
    by_hand = next((one for one in told if one[1].cause == "recount"), None)
    return Explanation(
        **{key: getattr(account, key) for key in account.__struct_fields__},
        asked_at=rfc3339(now.at),
        capacity=facing.capacity,
        reorder_point=facing.reorder_point,
        names={gtin: names.get(gtin, "") for gtin in _gtins(account)},
        devices=[conditions[name].state() for name in _devices(account) if name in conditions],
        counted=Counted(at=by_hand[0], on_hand=by_hand[1].on_hand) if by_hand else None,
        trade=_trade(account, journal, now),
        changes=_newest(told),
        changes_since=looked_back_to(journal),
    )


def _gtins(account: Account) -> Iterable[str]:
    plate = account.plate
    items = [item.gtin for item in plate.items] if plate else []
    foreign = [one.gtin for one in plate.foreign if one.gtin] if plate else []
    return dict.fromkeys([account.gtin, *items, *foreign])


def _devices(account: Account) -> Iterable[str]:
    """Those that look at it, each once."""
    plates = [plate.device for plate in account.plate.plates] if account.plate else []
    readers = account.tags.readers if account.tags else []
    return dict.fromkeys([*plates, *readers, *(one.device for one in account.cameras)])


def _newest(told: Sequence[tuple[str, StockChanged]]) -> list[Change]:
    """Without those that only say that it is a little surer or less sure than before."""
    found = []
    for (at, one), older in zip_longest(told, [body for _, body in told[1:]]):
        as_before = older is not None and (one.status, one.reasons) == (older.status, older.reasons)
        if one.change == 0 and one.cause != "recount" and as_before:
            continue
        found.append(
            Change(
                at=at,
                on_hand=one.on_hand,
                change=one.change,
                cause=one.cause,
                confidence=one.confidence,
                status=one.status,
                reasons=one.reasons,
            )
        )
    return found[:CHANGES]


def _trade(account: Account, journal: Journal, now: Moment) -> Trade:
    lines, since = lines_since(journal, rfc3339(now.at - TRADE_FOR))
    sums, last = {"sale": 0, "delivery": 0}, dict[str, str]()
    for kind, content, taken_at in lines:
        gtin, quantity, facing = said_by(content)
        if gtin == account.gtin and facing in ("", account.facing):
            sums[kind] += quantity
            last.setdefault(kind, taken_at)
    return Trade(
        since=since,
        sold=sums["sale"],
        sold_last_at=last.get("sale"),
        delivered=sums["delivery"],
        delivered_last_at=last.get("delivery"),
    )
