"""One LLRP connection: questions with their answers, keepalives, and what the reader tells by itself."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TypeVar

from llrpkit.exceptions import MessageDecodeError
from llrpkit.protocol import LLRPMessage, decode_message, messages, params

from edge_agent.contract.errors import DeviceError, DeviceSilent
from edge_agent.drivers.frames import Noise
from edge_agent.drivers.link import Link
from edge_agent.drivers.llrp_frames import message_framer

ANSWER_WITHIN_S = 3.0
GOODBYE_WITHIN_S = 0.5

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer", bound=LLRPMessage)


class Refused(DeviceError):
    """The reader answers that it will not."""


class Conversation:
    """Messages over a link. A reader that sends keepalives is dead when silent for `silent_after_s`."""

    def __init__(self, device: str, link: Link, *, silent_after_s: float) -> None:
        self._device, self._link, self._silent_after_s = device, link, silent_after_s
        self._framer = message_framer()
        self._waiting: list[LLRPMessage] = []
        self._last_id = 0
        self._told_broken = False

    @property
    def skipped_bytes(self) -> int:
        """Bytes that were no message."""
        return self._framer.skipped_bytes

    async def hear(self) -> list[LLRPMessage]:
        """All messages that have arrived, at least one; keepalives among them are acknowledged.

        Raises LinkLost, or DeviceSilent when no message comes in time.
        """
        heard, self._waiting = self._waiting, []
        try:
            async with asyncio.timeout(self._silent_after_s):
                while not heard:
                    heard = await self._read()
        except TimeoutError:
            raise DeviceSilent(
                f"no message from the reader for {self._silent_after_s:g} s",
                hint="is the reader on, and does it speak LLRP on this port?",
            ) from None
        return heard

    async def say(self, message: LLRPMessage) -> int:
        """Send; returns the number that an answer will carry."""
        self._last_id += 1
        await self._link.write(message.to_bytes(message_id=self._last_id))
        return self._last_id

    async def ask(self, question: LLRPMessage, answer: type[_Answer]) -> _Answer:
        """The reader's answer. Whatever else it says meanwhile waits for `hear`.

        DeviceSilent without an answer; Refused when the reader refuses or does not know the question.
        """
        number = await self.say(question)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                while True:
                    heard = await self._read()
                    answers = [one for one in heard if one.message_id == number and _is_answer(one, answer)]
                    self._waiting += heard
                    if answers:
                        self._waiting.remove(answers[0])
                        return _granted(question, answers[0], answer)
        except TimeoutError:
            raise DeviceSilent(
                f"the reader does not answer {type(question).__name__}", hint="switch the reader off and on"
            ) from None

    async def say_goodbye(self) -> None:
        """End the inventory and the connection, if the reader still listens."""
        with suppress(DeviceError, TimeoutError):
            async with asyncio.timeout(GOODBYE_WITHIN_S):
                await self.say(messages.DELETE_ROSPEC(ro_spec_id=0))
                await self.ask(messages.CLOSE_CONNECTION(), messages.CLOSE_CONNECTION_RESPONSE)

    async def _read(self) -> list[LLRPMessage]:
        heard = []
        for found in self._framer.feed(await self._link.read()):
            try:
                message = None if isinstance(found, Noise) else decode_message(found)
            except MessageDecodeError as error:
                message = None
                self._note(f"a broken message: {error}")
            if isinstance(found, Noise):
                self._note(str(found))
            if isinstance(message, messages.KEEPALIVE):
                ack = messages.KEEPALIVE_ACK()
                await self._link.write(ack.to_bytes(message_id=message.message_id))
            if message is not None:
                heard.append(message)
        return heard

    def _note(self, what: str) -> None:
        level = logging.DEBUG if self._told_broken else logging.WARNING
        _log.log(level, "%s: %s", self._device, what)
        self._told_broken = True


def _is_answer(message: LLRPMessage, answer: type[LLRPMessage]) -> bool:
    return isinstance(message, (answer, messages.ERROR_MESSAGE))


def _granted(question: LLRPMessage, message: LLRPMessage, answer: type[_Answer]) -> _Answer:
    status: params.LLRPStatus | None = getattr(message, "llrp_status", None)
    if isinstance(message, answer) and (status is None or int(status.status_code) == 0):
        return message
    code = "an error" if status is None else getattr(status.status_code, "name", status.status_code)
    why = f"{code} {status.error_description}".rstrip() if status else code
    raise Refused(
        f"the reader refuses {type(question).__name__}: {why}",
        hint="do session, tx_power_dbm and antennas suit this reader?",
    )
