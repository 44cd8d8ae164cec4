"""Draws the golden frame, which every detector must pass before it is used: two people at a door.

It is committed, with the boxes of what is seen of them; run this again only to replace it.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from device_sims.door_scene import DoorScene
from device_sims.walk import Walk, random_walk

FOLDER = Path(__file__).parent.parent / "edge_agent" / "vision"
SEED, PEOPLE, GAP_S, AT_S = 33, 2, 0.8, 5.0
JPEG_QUALITY = 80


def draw() -> tuple[npt.NDArray[np.uint8], list[tuple[int, int, int, int]]]:
    """The picture, and left, top, right, bottom of each person in it."""
    scene, random, walks = DoorScene(SEED), Random(SEED), list[Walk]()
    for number in range(PEOPLE):
        walks.append(random_walk(random, random.choice(("entered", "exited")), number * GAP_S, walks))
    return scene.render(AT_S, walks), [seen.box for seen in scene.seen(AT_S, walks)]


def main() -> None:
    """Write picture and boxes."""
    import cv2

    picture, people = draw()
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    content: dict[str, Any] = {"people": people}
    (FOLDER / "golden.jpg").write_bytes(jpeg.tobytes())
    (FOLDER / "golden.json").write_text(json.dumps(content) + "\n")
    print(f"golden.jpg: {len(jpeg) / 1000:.1f} kB, {len(people)} people")


if __name__ == "__main__":
    main()
