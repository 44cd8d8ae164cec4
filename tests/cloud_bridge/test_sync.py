"""The sync calls, over a real socket into a real database."""

from __future__ import annotations


async def test_rows_become_facings_and_feed(hq, store, make):
    reply = await store.tell(
        make.planogram(("A1", make.COLA)), make.stock("A1", 12, cause="initial"), make.stock("A1", 11)
    )
    assert reply["applied"] == [3, store.outbox.chain_at(3).hex()]
    assert reply["safe"] == 3
    page = await hq.get("/v1/stores/s1/facings")
    (facing,) = page["items"]
    assert (facing["on_hand"], facing["name"], facing["capacity"]) == (11, "item 7892", 24)
    assert page["catching_up"] is False
    feed = [(e["data"]["change"], e["data"]["cause"]) for e in await hq.events()]
    assert feed == [(12, "initial"), (-1, "pick")]
