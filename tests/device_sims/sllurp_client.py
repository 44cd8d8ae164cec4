"""A program of its own around sllurp: prints each tag report as a line of JSON until its standard input ends.

`python sllurp_client.py PORT ANTENNAS TAGS_A_REPORT`. sllurp is under the GPL: nothing of ours imports this file.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from sllurp.llrp import LLRPReaderClient, LLRPReaderConfig

PARTS = ("AntennaID", "PeakRSSI", "ChannelIndex", "FirstSeenTimestamp", "LastSeenTimestamp", "TagSeenCount")


no_more = threading.Event()


def said(reader: LLRPReaderClient, tags: list[dict[str, Any]]) -> None:
    for tag in tags:
        print(json.dumps({key: plain(value) for key, value in tag.items()}), flush=True)
    if no_more.is_set() and not reader.disconnect_requested.is_set():
        reader.disconnect()  # from sllurp's own thread: from another it may miss the answer to its farewell


def plain(value: object) -> object:
    return value.decode("ascii") if isinstance(value, bytes) else value


def main(port: str, antennas: str, tags_a_report: str) -> None:
    wanted = {
        "antennas": [int(number) for number in antennas.split(",")],
        "report_every_n_tags": int(tags_a_report),
        "start_inventory": True,
        "tag_content_selector": {
            "EnableROSpecID": False,
            "EnableSpecIndex": False,
            "EnableInventoryParameterSpecID": False,
            "EnableAccessSpecID": False,
            **{f"Enable{part}": True for part in PARTS},
        },
    }
    reader = LLRPReaderClient("127.0.0.1", int(port), LLRPReaderConfig(wanted))
    reader.add_tag_report_callback(said)
    reader.connect()
    sys.stdin.read()
    no_more.set()
    reader.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
