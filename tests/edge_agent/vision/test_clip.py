"""Real video from end to end: what the default detector, tracker and rules make of it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_agent.config.cameras import CountingLine
from edge_agent.contract.errors import ConfigError, LinkLost
from edge_agent.vision.clip import count_video
from edge_agent.vision.families import Picture
from edge_agent.vision.footfall import Crossing
from edge_agent.vision.track import Track
from edge_agent.vision.truth import compare, read_truth
from edge_agent.vision.zones import Visit, Zone

pytestmark = pytest.mark.timeout(300)  # every frame of a video goes through the detector

# On their way out to the right, all six pass the upright line at x = 560 from its left to its right.
LEAVING = CountingLine.model_validate({"id": "leaving", "from": [560, 432], "to": [560, 0]})


def test_six_people_are_six_tracks_visits_and_crossings_and_stay_as_long_as_by_eye(one_by_one: Path) -> None:
    sights: dict[int, list[float]] = defaultdict(list)
    stays, floor = list[Visit](), Zone([[-50, -50], [818, -50], [818, 482], [-50, 482]])

    def see(_picture: Picture, at_s: float, tracks: Sequence[Track], _crossed: Sequence[Crossing]) -> None:
        stays.extend(floor.update(tracks, at_s))
        for track in tracks:
            if track.confirmed:
                sights[track.id].append(at_s)

    crossings = count_video(one_by_one, [LEAVING], detections_per_s=2.5, on_frame=see)
    visits = json.loads(one_by_one.with_name("one-by-one.truth.json").read_text())["visits"]
    tracks_in_visit = [
        [track for track, times in sights.items() if times[0] < visit["to_s"] and times[-1] > visit["from_s"]]
        for visit in visits
    ]
    assert [len(tracks) for tracks in tracks_in_visit] == [1] * 6
    assert len(sights) == 6
    assert [c.direction for c in crossings] == ["entered"] * 6
    assert all(v["from_s"] < c.at_s < v["to_s"] for c, v in zip(crossings, visits, strict=True))
    stays += floor.close()
    errors_s = [s.dwell_s - (v["to_s"] - v["from_s"]) for s, v in zip(stays, visits, strict=True)]
    assert all(-3 <= error_s <= 0 for error_s in errors_s), (
        "by eye a visit begins and ends with any part of a body"
    )


def test_crossings_of_a_crowded_square_agree_with_the_truth(vtest: Path, outside_data: Path) -> None:
    truth = read_truth(outside_data / "video" / "vtest.truth.json")
    crossings = count_video(vtest, [truth.counting_line], until_s=truth.window_s[1] + truth.tolerance_s)
    agreement = compare(crossings, truth)
    assert agreement.f1 >= 0.95, agreement
    assert agreement.total_error <= 0.1, agreement


def test_what_is_masked_is_not_counted(one_by_one: Path, tmp_path: Path) -> None:
    pictures: list[Picture] = []

    def keep(picture: Picture, *_: object) -> None:
        pictures.append(picture)

    everything = [[0, 0], [768, 0], [768, 432], [0, 432]]
    assert count_video(one_by_one, [LEAVING], masks=[everything], detections_per_s=0.1, on_frame=keep) == []
    assert pictures
    assert not any(picture.any() for picture in pictures)


def test_a_file_that_is_no_video_is_a_clear_error(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a video")
    with pytest.raises(LinkLost, match=r"notes\.mp4"):
        count_video(text, [LEAVING])
    with pytest.raises(LinkLost, match=r"gone\.mp4"):
        count_video(tmp_path / "gone.mp4", [LEAVING])


def test_a_truth_file_without_crossings_is_a_clear_error(outside_data: Path) -> None:
    with pytest.raises(ConfigError, match="not a truth file of crossings"):
        read_truth(outside_data / "video" / "one-by-one.truth.json")
