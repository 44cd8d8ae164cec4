"""What the broker has under way to us: acknowledged in order, and known again when it comes twice.

A broker sends again, with the flag DUP and the packet identifier of the first time (MQTT 5, 4.4), what it got
no acknowledgement for: what we have not finished, and what we finished while the acknowledgement was lost
with the connection. Neither is new. A message that was never here is, whatever it looks like: two equal ones
differ in their identifiers. After a kill of the agent nothing is remembered: what it had committed without
an acknowledgement is folded once more, and that says nothing that was not known.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from paho.mqtt.client import MQTTMessage

from edge_agent.drivers.mqtt_connection import RECEIVE_MAXIMUM


@dataclass(slots=True, eq=False)
class Delivery:
    """One message with QoS 1; acknowledged when no inbox is `waiting` to finish with it any more."""

    message_id: int
    fingerprint: int
    waiting: int


class Deliveries:
    """All deliveries of one session, through its connections."""

    def __init__(self) -> None:
        self._open: deque[Delivery] = deque()
        self._recent: OrderedDict[int, Delivery] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def start_over(self) -> None:
        """A new connection: acknowledgements belong to theirs, and what the old one left open comes again."""
        self._open.clear()

    def forget(self) -> None:
        """The broker begins a new session, whose packet identifiers have nothing to do with those before."""
        self._recent.clear()

    def take(self, received: MQTTMessage, waiting: int) -> Delivery:
        """A delivery that `waiting` inboxes must finish with."""
        delivery = Delivery(received.mid, _fingerprint(received), waiting)
        self._open.append(delivery)
        self._recent.pop(received.mid, None)
        self._recent[received.mid] = delivery
        if len(self._recent) > 2 * RECEIVE_MAXIMUM:
            self._recent.popitem(last=False)
        return delivery

    def comes_again(self, received: MQTTMessage) -> bool:
        """Whether this message was here before; then it is acknowledged as soon as that one is finished."""
        if not received.dup:
            return False
        known = self._recent.get(received.mid)
        if known is None or known.fingerprint != _fingerprint(received):
            return False
        self._open.append(known)
        return True

    def finished(self) -> list[int]:
        """What may be acknowledged now, in the order of arrival (MQTT 5, 4.6)."""
        done = []
        while self._open and self._open[0].waiting <= 0:
            done.append(self._open.popleft().message_id)
        return done


def _fingerprint(received: MQTTMessage) -> int:
    return hash((received.topic, bytes(received.payload)))
