"""An RFID reader at the broker that sees one new tag after the other."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from paho.mqtt.client import CallbackAPIVersion, Client, MQTTMessageInfo, MQTTv5


@contextmanager
def publishing(port: int, *, every_s: float) -> Iterator[list[str]]:
    """Publish a new tag each `every_s` until the block ends; yields what was sent."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    sent: list[str] = []
    waiting: list[MQTTMessageInfo] = []
    stop = threading.Event()

    def publish() -> None:
        while not stop.wait(every_s):
            epc = (0x3074257BF7194E4000000000 + len(sent)).to_bytes(12, "big")
            event = {"epc": base64.urlsafe_b64encode(epc).decode(), "antennaPort": 1, "peakRssiCdbm": -5000}
            body = json.dumps({"eventType": "tagInventory", "tagInventoryEvent": event})
            waiting.append(client.publish("rfid/a", body, qos=1))
            sent.append(epc.hex())
        for message in waiting:
            message.wait_for_publish(10)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join(15)
        client.disconnect()
        client.loop_stop()
