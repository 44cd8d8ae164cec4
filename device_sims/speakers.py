"""The devices that speak on MQTT by themselves: when each has something to say, and what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from device_sims.climate import Fridge
from device_sims.impinj import R700
from device_sims.indicator import Indicator
from device_sims.mqtt_json import HomieShelf, HubPlate, TasmotaProbe, ZigbeeContact
from device_sims.mqtt_link import Publication
from device_sims.zebra import IotcReader

READER_EVERY_S = 0.2
CONTACT_EVERY_S = 0.2


class Speaker(Protocol):
    """A device that is asked `every_s` what it has to say. `at_ns` is its own clock, since 1970."""

    every_s: float
    birth: Publication | None
    will: Publication | None

    def speak(self, now_s: float, elapsed_s: float, at_ns: int) -> Iterator[Publication]:
        """What it publishes now."""
        ...


class ShelfSpeaker:
    """A shelf of plates, all of them one after the other."""

    def __init__(self, shelf: HomieShelf, indicators: Sequence[Indicator], every_s: float) -> None:
        self._shelf, self._indicators, self.every_s = shelf, indicators, every_s
        self.birth: Publication | None = shelf.birth
        self.will: Publication | None = shelf.will

    def speak(self, now_s: float, elapsed_s: float, at_ns: int) -> Iterator[Publication]:
        """A weight for each plate."""
        del elapsed_s, at_ns
        for plate, indicator in zip(self._shelf.plates, self._indicators, strict=True):
            yield self._shelf.mass(plate, indicator.read(now_s).weight_g)


class PlateSpeaker:
    """One plate behind a hub, which has the birth and the will."""

    birth: Publication | None = None
    will: Publication | None = None

    def __init__(self, plate: HubPlate, indicator: Indicator, every_s: float) -> None:
        self._plate, self._indicator, self.every_s = plate, indicator, every_s

    def speak(self, now_s: float, elapsed_s: float, at_ns: int) -> Iterator[Publication]:
        """Its weight."""
        del elapsed_s
        shown = self._indicator.read(now_s)
        weight_g = shown.weight_g if shown.load == "in range" else None
        yield self._plate.said(weight_g, stable=shown.stable, at_ns=at_ns)


class ReaderSpeaker:
    """An RFID reader that publishes what it hears."""

    birth: Publication | None = None
    will: Publication | None = None
    every_s = READER_EVERY_S

    def __init__(self, reader: R700 | IotcReader, topic: str) -> None:
        self._reader, self._topic = reader, topic

    def speak(self, now_s: float, elapsed_s: float, at_ns: int) -> Iterator[Publication]:
        """The reads of the last stretch."""
        del now_s
        for event in self._reader.look(elapsed_s, at_ns):
            yield Publication(self._topic, event)


class ProbeSpeaker:
    """A temperature probe."""

    def __init__(self, probe: TasmotaProbe, fridge: Fridge, every_s: float) -> None:
        self._probe, self._fridge, self.every_s = probe, fridge, every_s
        self.birth: Publication | None = probe.birth
        self.will: Publication | None = probe.will

    def speak(self, now_s: float, elapsed_s: float, at_ns: int) -> Iterator[Publication]:
        """The temperature."""
        del elapsed_s, at_ns
        yield self._probe.said(self._fridge.climate(now_s)[0])


class ContactSpeaker:
    """A door contact: it speaks when the door moves, and once at the beginning."""

    every_s = CONTACT_EVERY_S

    def __init__(self, contact: ZigbeeContact, fridge: Fridge) -> None:
        self._contact, self._fridge = contact, fridge
        self._was_open: bool | None = None
        self.birth: Publication | None = contact.birth
        self.will: Publication | None = contact.will

    def speak(self, now_s: float, elapsed_s: float, at_ns: int) -> Iterator[Publication]:
        """The state, when it has changed."""
        del elapsed_s, at_ns
        is_open = self._fridge.door_open(now_s)
        if is_open is not self._was_open:
            self._was_open = is_open
            yield self._contact.said(door_open=is_open)
