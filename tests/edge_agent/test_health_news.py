"""While the disk is nearly full a device's flaps are one row in a quarter of an hour, and the last word is told."""

from __future__ import annotations

from dataclasses import replace

from edge_agent.contract.times import utc_now
from edge_agent.health import Condition
from edge_agent.health_news import HealthNews

ONLINE = Condition("s1", "x", "online", None, utc_now())
OFFLINE = replace(ONLINE, status="offline", reason="gone")


def test_every_change_is_told_while_there_is_room() -> None:
    news = HealthNews()
    assert all(news.changed(condition, 0.0) for condition in (ONLINE, OFFLINE, ONLINE))
    assert news.due(1_000.0) == []


def test_a_flapping_device_is_told_once_and_then_what_it_is_after_a_quarter_of_an_hour() -> None:
    news = HealthNews(is_sparing=True)
    told = [news.changed((ONLINE, OFFLINE)[n % 2], float(n)) for n in range(100)]
    assert told == [True] + [False] * 99
    assert news.due(899.0) == []
    assert news.due(900.0) == [OFFLINE]
    assert news.due(5_000.0) == []


def test_a_device_that_is_again_as_it_was_told_is_not_told_again() -> None:
    news = HealthNews(is_sparing=True)
    assert [news.changed(c, 0.0) for c in (ONLINE, OFFLINE, ONLINE)] == [True, False, False]
    assert news.due(900.0) == []


def test_what_was_held_is_told_when_there_is_room_again_and_at_the_stop() -> None:
    news = HealthNews(is_sparing=True)
    assert [news.changed(c, 0.0) for c in (ONLINE, OFFLINE)] == [True, False]
    news.is_sparing = False
    assert news.due(1.0) == [OFFLINE]
    news.is_sparing = True
    assert not news.changed(ONLINE, 2.0)
    assert news.close(3.0) == [ONLINE]
