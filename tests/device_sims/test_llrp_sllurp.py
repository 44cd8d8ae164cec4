"""The simulated LLRP reader, read by sllurp in a process of its own: every field as it was sent, in order."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from llrpkit.protocol import BitStr, LLRPMessage, messages, params

from device_sims.llrp import EmulatedTag, LlrpReader

CLIENT = Path(__file__).with_name("sllurp_client.py")
TAGS = [
    EmulatedTag(bytes.fromhex("3034257bf400b7800004cb2f"), (1,), -48.0),
    EmulatedTag(bytes.fromhex("3034257bf400b7800004cb30"), (2,), -55.0),
    EmulatedTag(bytes.fromhex("8a450224"), (1, 2), -62.0),
    EmulatedTag(bytes.fromhex("1fb41f712ac9c37ab79d618173188324001a"), (2,), -70.0),
    EmulatedTag(bytes.fromhex("3034257bf400b7800004cb31"), (3,), -50.0),  # over an antenna nobody asks for
]


class NotingReader(LlrpReader):
    """Keeps what it reported, before the bytes."""

    reported: list[params.TagReportData]

    async def _send(self, msg: LLRPMessage, *, message_id: int = 0) -> None:
        if isinstance(msg, messages.RO_ACCESS_REPORT):
            self.reported = [*getattr(self, "reported", []), *msg.tag_report_datas]
        await super()._send(msg, message_id=message_id)


def as_sent(tag: params.TagReportData) -> dict[str, object]:
    told: Any = tag
    epc = told.epc_parameter.epc
    return {
        "EPC": (epc.data if isinstance(epc, BitStr) else epc).hex(),
        "AntennaID": told.antenna_id.antenna_id,
        "PeakRSSI": told.peak_rssi.peak_rssi,
        "ChannelIndex": told.channel_index.channel_index,
        "FirstSeenTimestampUTC": told.first_seen_timestamp_utc.microseconds,
        "LastSeenTimestampUTC": told.last_seen_timestamp_utc.microseconds,
        "TagSeenCount": told.tag_seen_count.tag_count,
    }


@pytest.mark.parametrize("tags_a_report", [1, 5])
async def test_sllurp_reads_every_tag_with_antenna_strength_and_time(tags_a_report: int) -> None:
    pipe = asyncio.subprocess.PIPE
    read: list[dict[str, Any]] = []
    async with NotingReader(TAGS, antennas=3, reads_per_s=400) as reader, asyncio.timeout(10):
        arguments = [str(reader.port), "1,2", str(tags_a_report)]
        client = await asyncio.create_subprocess_exec(
            sys.executable, CLIENT, *arguments, stdin=pipe, stdout=pipe, stderr=pipe
        )
        assert client.stdin
        assert client.stdout
        while len(read) < 60 and (line := await client.stdout.readline()):
            read.append(json.loads(line))
        client.stdin.close()  # the rest of the reports, then a polite farewell
        rest, complaints = await client.communicate()
    read += [json.loads(line) for line in rest.splitlines()]

    assert (client.returncode, complaints.decode()) == (0, "")
    strangers = [{key: value for key, value in tag.items() if key != "EPC-96"} for tag in read]
    assert strangers == [as_sent(tag) for tag in reader.reported[: len(read)]]
    assert {(tag["EPC"], tag["AntennaID"]) for tag in read} == {
        (tag.epc.hex(), antenna) for tag in TAGS[:4] for antenna in tag.antennas
    }
    for tag in TAGS[:4]:
        strengths = [one["PeakRSSI"] for one in read if one["EPC"] == tag.epc.hex()]
        assert sum(strengths) / len(strengths) == pytest.approx(tag.rssi_dbm, abs=3)
    assert all("EPC-96" in one for one in read if len(one["EPC"]) == 24)


async def test_sllurp_says_goodbye_and_the_next_client_is_served() -> None:
    pipe = asyncio.subprocess.PIPE
    async with LlrpReader(TAGS, antennas=2, reads_per_s=400) as reader, asyncio.timeout(10):
        for _ in range(2):
            client = await asyncio.create_subprocess_exec(
                sys.executable, CLIENT, str(reader.port), "1", "1", stdin=pipe, stdout=pipe, stderr=pipe
            )
            assert client.stdin
            assert client.stdout
            assert json.loads(await client.stdout.readline())["AntennaID"] == 1
            client.stdin.close()
            _, complaints = await client.communicate()
            assert (client.returncode, complaints.decode()) == (0, "")
    assert isinstance(reader.messages_heard[-1], messages.DELETE_ROSPEC)
