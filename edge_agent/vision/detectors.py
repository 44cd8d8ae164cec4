"""The detectors in use: cameras with the same model share one, and a replaced file is taken up unasked.

Whoever replaces the file of `model.path` changes the detector between two frames: the new file is loaded,
warmed up and checked on the golden frame in a thread of its own, at low priority, while the old detector
goes on. A file that fails is left, said once in the log, and told by `report`. The family is the
configuration's, so a file of another family fails.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import sys
import threading
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from edge_agent.config.cameras import VisionModel
from edge_agent.contract.errors import AssetsMissing, ModelError
from edge_agent.contract.times import utc_now
from edge_agent.vision.detect import Detector
from edge_agent.vision.families import Boxes, Picture
from edge_agent.vision.golden import check_golden
from edge_agent.vision.model import Family, locate
from edge_agent.vision.track import RULES, TrackRules

_log = logging.getLogger(__name__)

LOOK_EVERY_S = 3.0
_NICENESS = 10
_SHORT = 12

Mark = tuple[int, int, int]
"""Modification time, size and inode: a file that keeps them is the same, and nobody is writing to it."""


@dataclass(frozen=True, slots=True)
class LoadedDetector:
    """One detector that has passed its check, with the rules for following what it finds."""

    detector: Detector
    rules: TrackRules
    sha256: str
    loaded_at: datetime

    def people(self, picture: Picture) -> Boxes:
        """See `Detector.people`. Not for two threads at once."""
        return self.detector.people(picture)


@dataclass(frozen=True, slots=True)
class ModelReport:
    """What is known of one model in use; `problem` is why the file that lies there now is not."""

    model: str
    family: Family
    sha256: str
    loaded_at: datetime
    problem: str | None


def load_checked(chosen: VisionModel) -> LoadedDetector:
    """Load, warm up and check the `chosen` model. Raises ModelError or AssetsMissing."""
    path, family = locate(chosen)
    rules = rules_for(chosen, family)
    sha256 = _sha256(path)
    detector = Detector(chosen)
    if chosen.checked:
        try:
            check_golden(detector, least_score=rules.new_score)
        except ModelError as error:
            raise ModelError(f"model {path.name}: {error.message}", hint=error.hint) from error
    return LoadedDetector(detector, rules, sha256, utc_now())


def rules_for(chosen: VisionModel, family: Family) -> TrackRules:
    """The family's rules for the tracker, with the scores that were `chosen`."""
    rules, scores = RULES[family], chosen.scores
    if scores is None:
        return rules
    return replace(rules, doubtful_score=scores.doubtful, sure_score=scores.sure, new_score=scores.new)


class SharedDetector:
    """The detector of one model, for all its cameras. Raises ModelError or AssetsMissing when made."""

    def __init__(self, chosen: VisionModel) -> None:
        self._chosen = chosen
        self._path, self._family = locate(chosen)
        self._judged = self._seen = _mark_of(self._path)
        self._current = load_checked(chosen)
        self._problem: str | None = None

    @property
    def current(self) -> LoadedDetector:
        """What to look with now; ask again for each frame."""
        return self._current

    def report(self) -> ModelReport:
        """What is in use, and what is wrong with what is not."""
        current = self._current
        model = self._path.name if self._chosen.path is not None else self._path.stem
        return ModelReport(model, self._family, current.sha256, current.loaded_at, self._problem)

    def look(self) -> None:
        """Take up the file when it is another one and has been left alone since the last look."""
        mark = _mark_of(self._path)
        if mark == self._judged:
            return
        if mark != self._seen:
            self._seen = mark
            return
        problem = self._take_up(mark)
        if _mark_of(self._path) != mark:  # written to while it was read: what was found means nothing
            return
        self._judged, self._problem = mark, problem
        if problem is not None:
            _log.warning("%s; the model loaded before goes on", problem)

    def _take_up(self, mark: Mark | None) -> str | None:
        """Swap the file's model in; returns why not."""
        try:
            if mark is not None and _sha256(self._path) == self._current.sha256:
                return None
            loaded = load_checked(self._chosen)
        except (ModelError, AssetsMissing) as error:
            return error.message
        if _mark_of(self._path) == mark:
            self._current = loaded
            _log.info("model %s was replaced: %s is in use", self._path.name, loaded.sha256)
        return None


class Detectors:
    """All shared detectors of a process. `get` is for one thread, the rest for any."""

    def __init__(self, *, look_every_s: float = LOOK_EVERY_S) -> None:
        self._shared: dict[VisionModel, SharedDetector] = {}
        self._look_every_s = look_every_s
        self._over = threading.Event()
        self._watch: threading.Thread | None = None

    def get(self, chosen: VisionModel) -> SharedDetector:
        """The `chosen` model's detector, loaded at the first call. Raises ModelError or AssetsMissing."""
        if chosen not in self._shared:
            self._shared[chosen] = SharedDetector(chosen)
            if chosen.path is not None and self._watch is None:
                self._watch = threading.Thread(target=self._look, name="models", daemon=True)
                self._watch.start()
                atexit.register(self.close)
        return self._shared[chosen]

    def report(self) -> list[ModelReport]:
        """One for each model in use."""
        return [shared.report() for shared in list(self._shared.values())]

    def close(self) -> None:
        """Stop watching the files; a load under way is waited for."""
        self._over.set()
        if self._watch is not None:
            self._watch.join()
        atexit.unregister(self.close)

    def _look(self) -> None:
        if sys.platform == "linux":  # elsewhere niceness is the process's, not the thread's
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while not self._over.wait(self._look_every_s):
            for chosen, shared in list(self._shared.items()):
                if chosen.path is not None:
                    shared.look()


IN_USE = Detectors()
"""Those of the cameras of this process."""


def _mark_of(path: Path) -> Mark | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _sha256(path: Path) -> str:
    """The first digits of the file's digest. ModelError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:_SHORT]
    except OSError as error:
        raise ModelError(
            f"model {path.name} cannot be read: {error.strerror}",
            hint="check that the agent's user may read it",
        ) from error
