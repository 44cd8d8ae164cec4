"""Lines of text that scales and simple sensors send, to what their display shows: framer and grammars.

Facts: A&D manuals EK-L §9-2 and AD-4329A §12.1.2 (`ST,+001234.5  g`, `ST,GS,…`; indicators that copy it vary
in blanks and commas), Sartorius SBI (16 or 22 characters, the unit is blank while the plate moves; `Stat`
lines), Ohaus (weight right-justified to 9-12 characters, unit, `?` while it moves, legend), Adam
(`+   0.500 kg`, `G/W`), SMA SCP-0499 (`LF s r n m f weight unit CR`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge_agent.readings import Flag
from edge_agent.service.line_pattern import LINE_LIMIT

# Each grammar is looked for at the end of a line: so a frame is found again behind a broken one's bytes.
# Repeats are possessive (++, *+): no line takes longer than its length.
_NUMBER = r"(?:\d++\.?+\d*+|\.\d++)"
_NAMES = r"(?i:kg|g|mg|lbs?|ozt?|ct|gn|dwt|mom|tl[hstc]?|tol|bat|t|pcs?|n|%)"
"""Units by name where nothing else shows that a line is a weight: masses, and what scales show instead."""
_UNIT = r"(?:[A-Za-z][A-Za-z/]{0,4}|%)"
_START = r"(?:^|(?<=[^ -~]))"
"""A line's beginning, or behind bytes that are no text."""

_HEADED = re.compile(
    r"(?P<header>ST|US|QT)(?:[, ]++(?P<mode>GS|NT|TR|PT|[GNT])(?=[-+, ]))?"
    rf"(?:[, ]++(?:LO|OK|HI|--)(?=,))?[, ]++(?P<sign>[-+]?) *+(?P<value>{_NUMBER}) *+,?+ *+"
    rf"(?P<unit>{_UNIT})?$"
)
_OUT_OF_RANGE = re.compile(
    r"(?P<header>OL|UL)(?:(?=[, ])|(?<=^OL)$|(?<=^UL)$)(?:[, ]++(?:GS|NT|[GN])(?=[-+, ]|$))?"
    rf"[, ]*+(?P<sign>[-+]?)[-. \d]*+(?:E[-+]?\d+)?[ ,]*+{_UNIT}?$"
)
_SMA = re.compile(
    r"(?P<status>[ ZOUEITe])[1-9](?P<mode>[GNTgn])(?P<motion>[ M])[ -~] *+(?P<sign>-?) *+"
    rf"(?P<value>{_NUMBER}|-{{4,12}})(?: *+(?P<unit>[A-Za-z][A-Za-z/]{{0,2}}))?$"
)
_NAMED = re.compile(
    rf"(?:{_START} *+(?:(?P<label>[GNT]/W|Gross|Net|Tare|G#?|N1?|T\d?)(?=[-+: ])[: ]*+)?|(?<!,)(?=[-+]))"
    rf"(?P<sign>[-+]?) *+(?P<value>{_NUMBER}(?:\[\d\])?) *+(?P<unit>{_NAMES})(?: *+(?P<rest>[?*]))?"
    r"(?: *+(?P<legend>B/G|(?i:NET|TARE)|PT|[GNTB]))?$"
)
_BLANK_UNIT = re.compile(
    rf"(?:{_START}(?P<label>[A-Za-z ][\w# ]{{5}})?(?=[-+ ])|(?<!,)(?=[-+]))(?P<sign>[-+ ]) *+"
    rf"(?P<value>{_NUMBER}(?:\[\d\])?)$"
)
_SPECIAL = re.compile(
    rf"{_START}(?:Stat)? {{3,}}(?P<code>HH?|High|OL|LL?|Low|UL|C|Cal\.?|[A-Z.]{{0,9}}E[Rr][Rr]\b.*)$"
)
_BARE = re.compile(
    rf"{_START} *+(?P<sign>[-+]?) *+(?P<value>{_NUMBER}|nan|inf|ovf)(?: *+(?P<unit>{_UNIT}))?$"
)
_PLAIN_NUMBER = re.compile(rf"[-+]?{_NUMBER}(?:[eE][-+]?\d{{1,2}})?")

_NO_TEXT = re.compile(r"[^ -~]")

_SBI_WIDTHS = (14, 20)
_OHAUS_WIDTHS = range(9, 13)
_TARES = frozenset({"T", "TR", "PT", "T/W", "TARE", "T1", "T2"})
_NETS = frozenset({"N", "n", "NT", "N/W", "NET", "N1"})
_RESTLESS = frozenset({"US", "U", "D", "M", "?", "0", "UN", "UNSTABLE", "MOTION", "FALSE", "N", "NO"})

Unit = str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """One line: `value` as it was written, with its sign; None where the line only tells a condition."""

    value: str | None
    unit: Unit = None
    stable: bool | None = None
    flags: tuple[Flag, ...] = ()
    is_tare: bool = False


@dataclass(frozen=True, slots=True)
class Noise:
    """A line that is none of the device's, or what stood before one on its line."""

    line: bytes


Grammar = Callable[[str], tuple[int, Shown] | None]
"""A line, blanks at its end included, to where its frame begins and what it says; None: no frame."""


class LineFramer:
    """Bytes to lines shown. Pure: however the bytes are split, the result is the same; it never raises.

    With `seven_bits` the last bit of each byte is taken for parity. Lines end with CR, LF, STX, ETX or NUL.
    """

    def __init__(self, grammar: Grammar, *, seven_bits: bool) -> None:
        self._grammar, self._seven_bits = grammar, seven_bits
        self._rest = b""
        self.skipped_bytes = 0

    def feed(self, chunk: bytes) -> list[Shown | Noise]:
        """What `chunk` completes, in order. A line without an end waits; at most LINE_LIMIT bytes do."""
        *lines, rest = (self._rest + chunk.translate(_SPLIT_7 if self._seven_bits else _SPLIT_8)).split(b"\n")
        self._rest = self._end_of(rest)
        found: list[Shown | Noise] = []
        for line in lines:
            found += self._read(self._end_of(line))
        return found

    def skip_to_line_end(self, chunk: bytes) -> bytes | None:
        """What follows the first line end in `chunk`; None when it has none. The line was not heard whole."""
        _, end, rest = chunk.translate(_SPLIT_7 if self._seven_bits else _SPLIT_8).partition(b"\n")
        self.skipped_bytes += len(chunk) - len(rest) - len(end)
        return rest if end else None

    def _end_of(self, line: bytes) -> bytes:
        self.skipped_bytes += max(0, len(line) - LINE_LIMIT)
        return line[-LINE_LIMIT:]

    def _read(self, raw: bytes) -> list[Shown | Noise]:
        if not raw.strip():
            return []
        line, code = _text(raw)
        found = self._grammar(line)
        if found is None:
            self.skipped_bytes += len(raw)
            return [Noise(raw)]
        start, shown = found
        before = line[:start].encode(code)
        if not before.strip():
            return [shown]
        self.skipped_bytes += len(before)
        return [Noise(before), shown]


def _text(raw: bytes) -> tuple[str, str]:
    """The text, and the code that it is in."""
    try:
        return raw.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1"


def _table(mask: int) -> bytes:
    return bytes(0x0A if byte & mask in (0x00, 0x02, 0x03, 0x0D) else byte & mask for byte in range(256))


_SPLIT_7, _SPLIT_8 = _table(0x7F), _table(0xFF)


def headed(line: str) -> tuple[int, Shown] | None:
    """A&D and the indicators that copy it."""
    line = line.rstrip()
    match = _HEADED.search(line)
    out = _OUT_OF_RANGE.search(line)
    if out is not None and (match is None or out.start() < match.start()):
        under: tuple[Flag, ...] = ("under",)
        if out["header"] == "UL":
            return out.start(), Shown(None, flags=under)
        # A&D says OL at both ends of the range; the sign tells which.
        return out.start(), Shown(None, flags=("over", *under) if out["sign"] == "-" else ("over",))
    if match is None:
        return None
    unit: Unit = match["unit"]
    if unit == "t" and match["mode"] is None:
        unit = "tola"  # on balances; indicators, which say GS or NT, mean tonnes
    return match.start(), _weight(
        match["sign"] + match["value"], unit, stable=match["header"] != "US", mode=match["mode"] or ""
    )


def sma(line: str) -> tuple[int, Shown] | None:
    """SMA SCP-0499, without the LF and CR around it."""
    match = _SMA.search(line.rstrip())
    if match is None:
        return None
    status, stable = match["status"], match["motion"] != "M"
    if status in "OU":
        return match.start(), Shown(None, flags=("over",) if status == "O" else ("under",))
    if status in "EITe" or match["value"].startswith("-"):
        return match.start(), Shown(None, flags=("error",))
    shown = _weight(match["sign"] + match["value"], match["unit"], stable=stable, mode=match["mode"])
    return match.start(), replace(shown, flags=(*shown.flags, "zero")) if status == "Z" else shown


def named(line: str) -> tuple[int, Shown] | None:
    """A number with the name of a unit: Adam, Ohaus, Sartorius, Kern. Stable as far as the layout tells."""
    match = _NAMED.search(line.rstrip())
    if match is None:
        return None
    tells = match["rest"]
    stable = tells != "?" if tells else (True if _is_sbi(line) or _is_ohaus(match) else None)
    mode = (match["label"] or match["legend"] or "").upper()
    return match.start(), _weight(match["sign"] + match["value"], match["unit"], stable=stable, mode=mode)


def settled(line: str) -> tuple[int, Shown] | None:
    """As `named`, of a maker whose lines say it when the plate moves: Ohaus, Sartorius."""
    found = named(line)
    if found is None or found[1].stable is not None:
        return found
    start, shown = found
    return start, replace(shown, stable=True)


def special(line: str) -> tuple[int, Shown] | None:
    """Sartorius: what is shown instead of a weight."""
    match = _SPECIAL.search(line.rstrip())
    if match is None:
        return None
    code = match["code"].upper()
    flag: Flag = "over" if code[0] in "HO" else "under" if code[0] in "LU" else "error"
    return match.start(), Shown(None, flags=(flag,))


def blank_unit(line: str) -> tuple[int, Shown] | None:
    """Sartorius while the plate moves: the field of the unit is blank."""
    match = _BLANK_UNIT.search(line.rstrip())
    if match is None:
        return None
    mode = (match["label"] or "").strip().upper()
    return match.start(), _weight(match["sign"].strip() + match["value"], None, stable=False, mode=mode)


def sbi(line: str) -> tuple[int, Shown] | None:
    """Sartorius SBI: 16 or 22 characters with CR LF, stable where it has a unit."""
    return special(line) or settled(line) or blank_unit(line)


def bare(line: str) -> tuple[int, Shown] | None:
    """A number and perhaps a unit, as sketches with an HX711 print it; `nan` is an error."""
    match = _BARE.search(line.rstrip())
    if match is None:
        return None
    if match["value"].isalpha():
        return match.start(), Shown(None, flags=("error",))
    return match.start(), Shown(match["sign"] + match["value"], match["unit"])


def any_scale(line: str) -> tuple[int, Shown] | None:
    """Whichever format the line is in; a bare number is none."""
    found = headed(line) or sma(line) or named(line) or special(line)
    if found is None and _is_sbi(line) and line.endswith("    "):
        return blank_unit(line)
    return found


def by_pattern(pattern: re.Pattern[str]) -> Grammar:
    """The grammar of a configured pattern; `AsciiScale` says what its groups mean."""

    def read(line: str) -> tuple[int, Shown] | None:
        match = pattern.search(line)
        if match is None:
            return None
        said = {name: (text or "").strip() for name, text in match.groupdict().items()}
        if said.get("over") or said.get("under"):
            return 0, Shown(None, flags=("over",) if said.get("over") else ("under",))
        value = said.get("sign", "") + said["value"].replace(" ", "")
        value = value if "." in value else value.replace(",", ".")
        if value.lower() in ("nan", "inf", "ovf", "-inf"):
            return 0, Shown(None, flags=("error",))
        if not _PLAIN_NUMBER.fullmatch(value) and value.lower() not in DOOR_WORDS:
            return None
        mode = said.get("mode", "").upper()
        return 0, _weight(value, said.get("unit") or None, stable=_stability(said), mode=mode)

    return read


DOOR_WORDS = {"open": 1.0, "opened": 1.0, "on": 1.0, "true": 1.0, "closed": 0.0, "off": 0.0, "false": 0.0}
"""What a contact may say instead of 1 and 0."""


def _stability(said: dict[str, str]) -> bool | None:
    if "unstable" in said:
        return not said["unstable"]
    if "stable" in said:
        return bool(said["stable"]) and said["stable"].upper() not in _RESTLESS
    return None


def _weight(value: str, unit: Unit, *, stable: bool | None, mode: str) -> Shown:
    flags: list[Flag] = []
    if stable is False:
        flags.append("motion")
    if mode in _NETS:
        flags.append("net")
    return Shown(value.translate(_NO_BRACKETS), unit, stable, tuple(flags), is_tare=mode in _TARES)


_NO_BRACKETS = {ord("["): None, ord("]"): None, ord("+"): None}


def _behind_bytes(line: str) -> int:
    """Where the text begins that no byte which is no text stands in: columns count from there."""
    return max((found.end() for found in _NO_TEXT.finditer(line)), default=0)


def _is_sbi(line: str) -> bool:
    """Whether the line has the width of an SBI line, its last field filled up."""
    text = line[_behind_bytes(line) :]
    return len(text) in _SBI_WIDTHS and text[-14] in "+- " and text[-4] == " "


def _is_ohaus(match: re.Match[str]) -> bool:
    """Whether the number is right-justified as Ohaus does it, and one blank before the unit."""
    begins, ends = _behind_bytes(match.string), match.end("value")
    is_justified = ends - begins in _OHAUS_WIDTHS and match.start("unit") == ends + 1
    return match.start() == begins and is_justified and match["sign"] != "+"
