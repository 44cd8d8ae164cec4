"""Who is let in, and who is asked to come again."""

from __future__ import annotations

import pytest

from cloud_bridge.admission import FORKS, FORKS_WITHIN_S, PAUSE_S, Bodies, Forks
from cloud_bridge.doctor import examine
from cloud_bridge.errors import TooOften, Unavailable


def test_bodies_are_taken_up_to_the_limit_and_room_comes_back() -> None:
    bodies = Bodies(limit_bytes=10)
    with bodies.room_for(6):
        with bodies.room_for(4), pytest.raises(Unavailable), bodies.room_for(1):
            pass
        with bodies.room_for(4):
            pass


def test_a_body_alone_is_taken_whatever_its_size() -> None:
    bodies = Bodies(limit_bytes=10)
    with bodies.room_for(100), pytest.raises(Unavailable), bodies.room_for(1):
        pass


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_few_moves_are_what_restored_disks_explain_and_many_are_slowed_down() -> None:
    clock = Clock()
    forks = Forks(clock)
    for _ in range(FORKS - 1):
        forks.admit("s1")
        assert not forks.moved("s1")
    forks.admit("s1")
    assert forks.moved("s1")
    with pytest.raises(TooOften) as refused:
        forks.admit("s1")
    assert refused.value.retry_after_s == PAUSE_S
    forks.admit("s2")
    assert forks.made_to_wait() == ["s1"]
    clock.now_s += PAUSE_S
    forks.admit("s1")
    assert forks.moved("s1")
    clock.now_s += FORKS_WITHIN_S + 1
    forks.admit("s1")
    assert forks.made_to_wait() == []
    assert not forks.moved("s1")


async def test_two_gateways_with_one_token_are_told_to_wait_and_lose_nothing(hq, store, make, caplog):
    await store.tell(make.stock("A1", 10), make.stock("A1", 9))
    other = await hq.same_store(store, store.outbox.copy(1))
    for turn in range(FORKS + 2):
        one = (store, other)[turn % 2]
        one.outbox.add(make.stock("A1", turn))
        if turn == FORKS + 1:
            refused = await _refused(make, one.hello())
            break
        await one.hello()
        await one.send()
    assert (refused.status, refused.code) == (429, "E-TOO-OFTEN")
    assert int(refused.headers["Retry-After"]) == PAUSE_S
    assert "two gateways use its token" in caplog.text
    assert await _gateways(hq) == [("warn", "two gateways use one token: s1")]
    await hq.command("store revoke", name="s1")
    assert await _gateways(hq) == []
    assert await hq.audit_problems() == []


async def _gateways(hq):
    found = [finding async for finding in examine(hq.bridge.settings) if finding.what == "gateways"]
    return [(finding.level, finding.told(3)) for finding in found]


async def _refused(make, call):
    with pytest.raises(make.Refused) as caught:
        await call
    return caught.value
