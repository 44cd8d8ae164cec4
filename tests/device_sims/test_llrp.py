"""The simulated LLRP reader: what the standard says and the emulator inside it leaves out."""

from __future__ import annotations

import asyncio

import pytest
from llrpkit.client import LLRPClient, check_status
from llrpkit.exceptions import LLRPTimeoutError
from llrpkit.inventory import build_rospec
from llrpkit.protocol import enums, messages

from device_sims.llrp import EmulatedTag, LlrpReader, tags_in_view
from device_sims.plan import plan_visit
from device_sims.scenario import load_scenario
from device_sims.world import World

TAGS = [EmulatedTag(bytes.fromhex(f"3034257bf400b7800004cb{n:02x}"), (1,)) for n in range(3)]


async def test_enabling_events_and_reports_has_no_answer() -> None:
    async with LlrpReader(TAGS) as reader, LLRPClient("127.0.0.1", reader.port) as client:
        with pytest.raises(LLRPTimeoutError):
            await client.transact(messages.ENABLE_EVENTS_AND_REPORTS(), timeout=0.2)
        assert client.events.empty()


async def test_rospec_zero_is_all_of_them() -> None:
    async with LlrpReader(TAGS) as reader, LLRPClient("127.0.0.1", reader.port) as client:
        for number in (1, 2):
            spec = build_rospec(ro_spec_id=number)
            check_status(await client.transact(messages.ADD_ROSPEC(ro_spec=spec)))
        check_status(await client.transact(messages.DELETE_ROSPEC(ro_spec_id=0)))
        told = await client.transact(messages.GET_ROSPECS())
        assert isinstance(told, messages.GET_ROSPECS_RESPONSE)
        assert told.ro_specs == []


async def test_an_immediate_rospec_starts_as_it_is_enabled() -> None:
    spec = build_rospec()
    trigger = spec.ro_boundary_spec.ro_spec_start_trigger
    trigger.ro_spec_start_trigger_type = enums.ROSpecStartTriggerType.Immediate
    async with LlrpReader(TAGS) as reader, LLRPClient("127.0.0.1", reader.port) as client:
        check_status(await client.transact(messages.ADD_ROSPEC(ro_spec=spec)))
        check_status(await client.transact(messages.ENABLE_ROSPEC(ro_spec_id=1)))
        async with asyncio.timeout(5):
            report = await client.reports.get()
    assert len(report.tag_report_datas) == 1


async def test_reports_wait_for_n_tags_or_until_they_are_asked_for() -> None:
    async with LlrpReader(TAGS, reads_per_s=200) as reader, LLRPClient("127.0.0.1", reader.port) as client:
        check_status(await client.transact(messages.ADD_ROSPEC(ro_spec=build_rospec(report_every_n=7))))
        check_status(await client.transact(messages.ENABLE_ROSPEC(ro_spec_id=1)))
        check_status(await client.transact(messages.START_ROSPEC(ro_spec_id=1)))
        async with asyncio.timeout(5):
            full = await client.reports.get()
            assert len(full.tag_report_datas) == 7
            client.send(messages.GET_REPORT())
            while len((await client.reports.get()).tag_report_datas) == 7:
                pass


async def test_it_tells_who_it_is_and_which_antennas_it_has() -> None:
    async with LlrpReader(TAGS, antennas=2) as reader, LLRPClient("127.0.0.1", reader.port) as client:
        told = await client.transact(messages.GET_READER_CONFIG())
    assert isinstance(told, messages.GET_READER_CONFIG_RESPONSE)
    assert told.identification is not None
    assert told.identification.reader_id == bytes.fromhex("0016250000000001")
    assert [one.antenna_id for one in told.antenna_properties] == [1, 2]


def test_every_tag_of_the_world_is_in_view_of_its_antenna() -> None:
    scenario = load_scenario("demo")
    world = World(scenario, plan_visit(scenario, seconds=45, seed=1), seed=1)
    facings = [facing.id for facing in scenario.facings]
    seen = {(tag.epc.hex().upper(), tag.antennas) for tag in tags_in_view(world, facings)}
    assert seen == {(tag.epc, (n,)) for n, facing in enumerate(facings, 1) for tag in world.tags(facing)}
