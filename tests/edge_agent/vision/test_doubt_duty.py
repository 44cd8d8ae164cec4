"""A camera that sees motion and never anybody is doubted, once, and no longer when somebody is found."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edge_agent.contract.times import utc_now
from edge_agent.readings import DeviceNoted, Reading
from edge_agent.vision import doubt_duty
from edge_agent.vision.capture import Frame
from edge_agent.vision.doubt_duty import DOUBTED_AFTER_S, NOTE, DoubtDuty
from edge_agent.vision.people import Seen
from edge_agent.vision.track import Track

PICTURE, NOBODY = np.zeros((2, 2, 3), np.uint8), np.empty((0, 5), np.float32)


def seen(at_s: float, *, skipped: bool = False, found: bool = False) -> Seen:
    """A look with somebody, or with a track that is nobody yet; skipped: with none."""
    track = Track(1, (0, 0, 1, 1), at_s, confirmed=found)
    return Seen(Frame(PICTURE, at_s, utc_now()), NOBODY, () if skipped else [track], skipped=skipped)


async def told(duty: DoubtDuty, looks: Iterator[Seen]) -> list[Reading]:
    return [reading for look in looks for reading in await duty.readings(look)]


async def test_an_hour_of_motion_without_anybody_is_noted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    duty = DoubtDuty("cam")
    steps = int(DOUBTED_AFTER_S)
    assert await told(duty, (seen(n) for n in range(steps))) == []
    assert await told(duty, (seen(n) for n in range(steps, 3 * steps))) == [DeviceNoted("cam", NOTE)]
    assert [record.getMessage() for record in caplog.records] == [f"cam: {NOTE}"]
    assert caplog.records[0].name == doubt_duty.__name__
    assert await told(duty, (seen(n, found=True) for n in range(20_000, 20_003))) == [
        DeviceNoted("cam", None)
    ]


async def test_who_has_found_somebody_is_never_doubted() -> None:
    duty = DoubtDuty("cam")
    await told(duty, iter([seen(0, found=True)]))
    assert await told(duty, (seen(n) for n in range(1, 8000))) == []


async def test_still_pictures_and_outages_are_no_motion() -> None:
    still = DoubtDuty("cam")
    assert await told(still, (seen(n / 5, skipped=n % 10 > 0) for n in range(10 * 3600))) == []
    rare = DoubtDuty("cam")
    assert await told(rare, (seen(2.0 * n) for n in range(8000))) == []
    broken = DoubtDuty("cam")
    for n in range(4000):
        assert await broken.readings(seen(n)) == ()
        broken.pause()


async def test_a_note_that_a_trouble_took_away_is_made_again_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    duty = DoubtDuty("cam")
    steps = int(DOUBTED_AFTER_S) + 5
    assert await told(duty, (seen(n) for n in range(steps))) == [DeviceNoted("cam", NOTE)]
    duty.pause()
    assert await told(duty, (seen(n) for n in range(steps, steps + 5))) == [DeviceNoted("cam", NOTE)]
    assert len(caplog.records) == 1
