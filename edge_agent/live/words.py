"""An explanation in words for the people of a store: what is believed, why, and what it may be else."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import zip_longest
from zoneinfo import ZoneInfo

from edge_agent.contract.messages import DeviceState, Source
from edge_agent.contract.times import parse_rfc3339
from edge_agent.explanation import Change, Explanation
from edge_agent.stock.account import PlateAccount, TagAccount, Verdict

WIDTH = 80
LABEL = 12
LEAST = 0.01
"""Something foreign that is less probable is not named."""
BAR = 30
"""Cells of a bar for certainty."""
REASONS = {
    "foreign_object": "something lies on its plate that does not belong there",
    "misplaced": "an item from another place lies on its plate",
    "drift": "the zero of its plate is off by half an item or more: empty it and set it to zero",
    "conflict": "its sensors contradict each other: count it by hand",
    "recount": "it was counted by hand",
    "stale": "a sensor that it rests on is silent: who knows what has happened since",
}
CAUSES = {
    "initial": "first count",
    "pick": "taken",
    "return": "put back",
    "restock": "filled up",
    "sale": "sold at the till",
    "recount": "counted by hand",
    "correction": "corrected",
}
SENSORS: dict[Source, str] = {"weight": "The plate", "rfid": "The tags", "camera": "The camera"}
HOW_SURE = ((0.95, "very sure"), (0.8, "rather sure"), (0.5, "not sure"), (0.0, "a guess"))


def in_words(said: Explanation, zone: ZoneInfo) -> list[str]:
    """Lines of at most WIDTH characters; a headline begins at the margin. Times are the store's own."""
    clock = _Clock(parse_rfc3339(said.asked_at), zone)
    return [
        _headline(said),
        *_belief(said, clock),
        *_chapter("What is known of it", _evidence(said, clock)),
        *_chapter("What each sensor alone would say", _alone(said)),
        *_chapter("How probable each count is now", _counts(said)),
        *_chapter("Silent", _silent(said.devices, clock)),
        *_chapter("Last changes", _changes(said, clock)),
    ]


class _Clock:
    """Moments as the store reads them, against the one in which it was asked."""

    def __init__(self, now: datetime, zone: ZoneInfo) -> None:
        self._now, self._zone = now.astimezone(zone), zone

    def time(self, text: str) -> str:
        """The time of day; with the date where it is not today's."""
        minute = self.minute(text)
        return f"{minute}:{parse_rfc3339(text):%S}" if "-" not in minute else minute

    def minute(self, text: str) -> str:
        """The same without seconds."""
        at = parse_rfc3339(text).astimezone(self._zone)
        return f"{at:%H:%M}" if at.date() == self._now.date() else f"{at:%Y-%m-%d %H:%M}"

    def ago(self, text: str) -> str:
        """How long ago (or ahead) that is."""
        return span(abs((self._now - parse_rfc3339(text)).total_seconds()))

    def is_past(self, text: str) -> bool:
        """Whether it has come."""
        return parse_rfc3339(text) <= self._now


def span(seconds: float) -> str:
    """A length of time in its largest fitting unit."""
    for size, unit in ((172_800, "days"), (7_200, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds / {'days': 86_400, 'h': 3_600, 'min': 60}[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"


def percent(probability: float) -> str:
    """Neither certainty nor impossibility by rounding."""
    if probability > 0.99:
        return ">99 %"
    return "<1 %" if probability < 0.01 else f"{probability * 100:.0f} %"


def grams(weight_g: float) -> str:
    """Grams; tenths only where they matter."""
    return f"{weight_g:,.1f} g" if weight_g < 100 else f"{weight_g:,.0f} g"


# --- chapters ----------------------------------------------------------------------------------


def _headline(said: Explanation) -> str:
    name = said.names.get(said.gtin, "")
    return f"{said.facing}  {name}  ({said.gtin})" if name else f"{said.facing}  ({said.gtin})"


def _belief(said: Explanation, clock: _Clock) -> Iterator[str]:
    if said.on_hand is None:
        yield from _labelled("On hand", f"not known yet (room for {said.capacity}): nothing has spoken of it")
        return
    yield from _labelled(
        "On hand", f"{said.on_hand}, room for {said.capacity}, to be reordered at {said.reorder_point}"
    )
    words = next(words for least, words in HOW_SURE if said.confidence >= least)
    yield from _labelled("How sure", f"{percent(said.confidence)}, {words}{_interval(said)}")
    yield from _labelled("Status", said.status)
    confirmed = f"; last confirmed {clock.ago(said.observed_at)} ago" if said.observed_at else ""
    if said.changed_at:
        since = f"{clock.time(said.changed_at)}, {clock.ago(said.changed_at)} ago{confirmed}"
        yield from _labelled("Since", since)
    for reason in said.reasons:
        yield from _labelled("Note", f"{REASONS.get(reason, reason)} ({reason})")
    if said.reorder_due_at:
        due = clock.minute(said.reorder_due_at)
        yield from _labelled(
            "Reorder", f"due since {due}" if clock.is_past(said.reorder_due_at) else f"due about {due}"
        )


def _interval(said: Explanation) -> str:
    if said.interval is None:
        return ""
    low, high = said.interval
    return f"; in 9 of 10 cases it is {low if low == high else f'{low} to {high}'}"


def _evidence(said: Explanation, clock: _Clock) -> Iterator[str]:
    if said.plate is not None:
        yield from _plate(said, said.plate)
    if said.tags is not None:
        yield from _labelled("Tags", _tags(said.tags))
    if said.in_back_room:
        yield from _labelled("Back room", f"tags of {said.in_back_room} such items are heard there")
    for verdict in said.cameras:
        yield from _labelled("Camera", _verdict(verdict))
    if said.counted is not None:
        yield from _labelled("By hand", f"{said.counted.on_hand} counted at {clock.time(said.counted.at)}")
    trade, time = said.trade, f"in the last {clock.ago(said.trade.since)}"
    if trade.sold_last_at:
        last = clock.time(trade.sold_last_at)
        yield from _labelled("Till", f"{trade.sold} sold {time}, wherever they stood; told last at {last}")
    if trade.delivered_last_at:
        last = clock.time(trade.delivered_last_at)
        yield from _labelled("Delivered", f"{trade.delivered} {time}; told last at {last}")


def _plate(said: Explanation, plate: PlateAccount) -> Iterator[str]:
    names = ", ".join(
        one.device if one.channel is None else f"{one.device} channel {one.channel}" for one in plate.plates
    )
    silent = {device.device for device in said.devices if device.status != "online"}
    last = ", when it was last heard" if any(one.device in silent for one in plate.plates) else ""
    yield from _labelled("Plate", f"{names} {_weight(plate)}{last}.")
    if plate.expected_g is None:
        if plate.weight_g is not None:
            why = "an item without unit weight in the planogram, or more than three kinds"
            yield from _labelled("", f"That tells no count: {why}.")
        return
    many = len(plate.items) > 1
    pieces = " + ".join(
        f"{item.on_hand} × {item.unit_g:,.1f} g{f' ({_name(said, item.gtin)})' if many else ''}"
        for item in plate.items
    )
    drift = f"{'plus' if plate.drift_g >= 0 else 'less'} {abs(plate.drift_g):.1f} g of drift of its zero"
    yield from _labelled("", f"Expected are {plate.expected_g:,.1f} g: {pieces}, {drift}.")
    for item in plate.items:
        one = f"One {_name(said, item.gtin)}" if many else "One piece"
        learnt = f"{one} weighs {item.unit_g:,.1f} g ± {item.unit_sd_g:.1f} g as learnt here"
        yield from _labelled("", f"{learnt}, {item.printed_g:,.1f} g ± {item.printed_sd_g:.1f} g as printed.")
    for stranger in (one for one in plate.foreign if one.probability >= LEAST):
        what = "something unknown" if stranger.gtin is None else _name(said, stranger.gtin)
        much = f", about {grams(plate.foreign_g)}" if stranger is plate.foreign[0] else ""
        yield from _labelled("", f"Beside them: {what}{much} ({percent(stranger.probability)} probable).")


def _weight(plate: PlateAccount) -> str:
    if plate.weight_g is None:
        return "is being touched" if plate.moving else "has not come to rest since the start"
    if plate.expected_g is None:
        return f"weighs {plate.weight_g:,.1f} g"
    off_g = plate.weight_g - plate.expected_g
    more = "more" if off_g >= 0 else "less"
    return f"weighs {plate.weight_g:,.1f} g, {grams(abs(off_g))} {more} than expected"


def _tags(tags: TagAccount) -> str:
    readers = ", ".join(tags.readers)
    if not tags.listening:
        return f"{readers} has not listened long enough yet since the start or its last outage"
    text = f"{readers} hears {tags.heard}"
    if tags.silent:
        text += f"; {tags.silent} silent since the last touch ({tags.doubt:g} of them in doubt)"
    if tags.known_items:
        bare = tags.without_tag or "none"
        return f"{text}; of {tags.known_items} items counted before {bare} had no tag"
    return (
        f"{text}; {percent(tags.tagged)} of such items have one"
        if tags.tagged
        else f"{text}; none is expected"
    )


def _verdict(verdict: Verdict) -> str:
    sees = "sees a gap" if verdict.gap else f"sees it {verdict.fill:.0%} stocked".replace("%", " %")
    stale = "" if verdict.speaks else "; it counts no more: too old, or touched since"
    return f"{verdict.device} {sees}, {span(verdict.age_s)} ago{stale}"


def _alone(said: Explanation) -> Iterator[str]:
    for opinion in said.alone:
        agrees = opinion.on_hand == said.on_hand
        against = (
            "" if agrees or said.on_hand is None else f"  ({said.on_hand}: {percent(opinion.of_believed)})"
        )
        yield _line(SENSORS[opinion.source], opinion.on_hand, opinion.probability) + against


def _counts(said: Explanation) -> Iterator[str]:
    for chance in said.counts:
        yield _line("", chance.on_hand, chance.probability)
    if said.counts and said.on_hand not in (None, said.counts[0].on_hand):
        yield f"  {said.counts[0].on_hand} is more probable at this moment; it is told once that is clear."


def _silent(devices: Iterable[DeviceState], clock: _Clock) -> Iterator[str]:
    for device in devices:
        if device.status != "online":
            why = f": {device.reason}" if device.reason else ""
            since = f"{device.status} since {clock.time(device.since)}, {clock.ago(device.since)}"
            seen = f"; last heard {clock.ago(device.last_seen_at)} ago" if device.last_seen_at else ""
            yield from _wrapped(f"  {device.device} {since}{why}{seen}", "    ")


def _changes(said: Explanation, clock: _Clock) -> Iterator[str]:
    for change, older in zip_longest(said.changes, said.changes[1:]):
        before = older.reasons if older else change.reasons
        yield from _wrapped(_change(change, before, clock), " " * 33)
    if said.changes_since:
        yield f"  (the gateway's memory goes back to {clock.time(said.changes_since)})"


def _change(change: Change, before: list[str], clock: _Clock) -> str:
    moved = f"{change.change:+d}".replace("-", "−") if change.change else "·"
    what = CAUSES[change.cause] if change.change or change.cause == "recount" else f"status {change.status}"
    come = [reason for reason in change.reasons if reason not in before and reason != change.cause]
    gone = [f"no longer {one}" for one in before if one not in (*change.reasons, "recount")]
    why = "".join(f", {reason}" for reason in come + gone)
    count = "-" if change.on_hand is None else str(change.on_hand)
    return (
        f"  {clock.time(change.at):17}{moved:>4} →{count:>4}  {what} ({percent(change.confidence)} sure{why})"
    )


# --- small parts -------------------------------------------------------------------------------


def _name(said: Explanation, gtin: str) -> str:
    return said.names.get(gtin) or gtin


def _line(label: str, on_hand: int, share: float) -> str:
    return f"  {label:{LABEL}}{on_hand:4}  {percent(share):>5}  {_bar(share)}".rstrip()


def _bar(share: float) -> str:
    """In eighths of a cell."""
    eighths = round(share * BAR * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _chapter(title: str, lines: Iterable[str]) -> list[str]:
    """Nothing where there is nothing to say."""
    body = list(lines)
    return ["", title, *body] if body else []


def _labelled(label: str, text: str) -> list[str]:
    return _wrapped(f"  {label:{LABEL}}{text}", " " * (LABEL + 2))


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, drop_whitespace=True, break_on_hyphens=False)
