"""What is known of the shelf before one camera: its baseline, the votes of its facings, what staff said."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

from edge_agent.config.cameras import ShelfGap
from edge_agent.contract.errors import NotInPlanogram
from edge_agent.readings import GapSeen
from edge_agent.vision import shelf_baseline
from edge_agent.vision.gap_vote import GapVote
from edge_agent.vision.shelf import Shelf
from edge_agent.vision.shelf_baseline import Baseline
from edge_agent.vision.slot import Corners
from edge_agent.vision.snapshot import Snapshot

_log = logging.getLogger(__name__)

STOCKED_SCORE, STOCKED_FILL = 0.2, 0.7
"""A slot that looks so by itself may become its own baseline."""
EMPTY_SCORE = 0.95
"""A slot that looks so by itself is no baseline, whatever staff say."""
_MOVED_AFTER = 3


class ShelfWatch:
    """Outlives the driver of its camera. `folder` None: the baseline is not kept.

    `trouble` says why the shelf cannot be judged, as long as that is so.
    """

    def __init__(
        self, device: str, settings: ShelfGap, folder: Path | None, masks: Sequence[Corners] = ()
    ) -> None:
        self.settings, self.masks = settings, masks
        self.baseline: Baseline | None = None
        self.trouble: str | None = None
        self._device, self._folder = device, folder
        self._votes = {facing: GapVote() for facing in settings.facings}
        self._filled: set[str] = set()
        self._anew = False
        self._moved = 0
        self._told_unknown = False

    def restocked(self, facings: Collection[str] | None) -> list[str]:
        """Staff filled these facings, or all of them: the next clear look at them is their baseline.

        All of them: also the camera's place is learnt anew. NotInPlanogram for one that it does not watch.
        """
        named = list(self._votes) if facings is None else sorted(set(facings))
        for facing in named:
            if facing not in self._votes:
                raise NotInPlanogram(
                    f"{self._device} does not watch {facing}", hint=f"it watches {', '.join(self._votes)}"
                )
        self._filled |= set(named)
        self._anew = self._anew or facings is None
        return named

    def open(self, shelf: Shelf) -> None:
        """The first frame of a connection came: the kept baseline, if it was drawn like this."""
        if self.baseline is not None and self.baseline.geometry != shelf.geometry:
            self.baseline = None
        if self.baseline is None and self._folder is not None:
            self.baseline = shelf_baseline.load(self._folder, shelf.geometry)

    @property
    def begins_anew(self) -> bool:
        """Whether the next look is to be taken without the old baseline."""
        return self._anew

    @property
    def is_unsure(self) -> bool:
        """Whether a facing with a baseline has no vote, or its newest look says something else: look soon."""
        known = self.baseline.views if self.baseline is not None else {}
        return bool(self._filled) or any(self._votes[facing].unsure for facing in known)

    def saw(self, snapshot: Snapshot, shelf: Shelf, at: datetime) -> Sequence[GapSeen]:
        """One clear look at the shelf: the votes as they stand now, none while the camera has been moved.

        A place without a baseline is not judged: bare packages alone look too much like bare shelves.
        """
        if self._has_moved(snapshot):
            return ()
        self.trouble = None
        known = self.baseline.views.keys() if self.baseline is not None else ()
        for facing in known:
            self._votes[facing].saw(snapshot.seen[facing])
        self._learn(snapshot, shelf)
        return [
            GapSeen(self._device, facing, round(vote.fill, 3), bool(vote.gap), at)
            for facing, vote in self._votes.items()
            if vote.speaks
        ]

    def keep(self) -> None:
        """Write the baseline to disk; a full disk is logged, and costs the baseline at the next start."""
        if self._folder is None or self.baseline is None:
            return
        try:
            shelf_baseline.save(self.baseline, self._folder)
        except OSError as error:
            _log.warning("%s: the baseline cannot be kept: %s", self._device, error)

    def _has_moved(self, snapshot: Snapshot) -> bool:
        why = snapshot.alignment.moved
        self._moved = 0 if why is None else self._moved + 1
        if why is not None and self._moved == _MOVED_AFTER:
            self.trouble = f"{why}; turn it back, or draw its facings anew and say restocked"
            for vote in self._votes.values():
                vote.forget()
        return why is not None

    def _learn(self, snapshot: Snapshot, shelf: Shelf) -> None:
        """Slots that staff filled, or that look stocked and have none yet, become their own baseline."""
        before = self.baseline
        if self.baseline is None or self._anew:
            views, file = (before.views, before.file) if before else ({}, "")
            self.baseline = Baseline(shelf.geometry, snapshot.outline, views, file)
        for facing in sorted(self._filled & snapshot.views.keys()):
            self._votes[facing].forget()
            if snapshot.alone[facing].score >= EMPTY_SCORE:
                _log.warning("%s: %s looks empty, so it is no baseline", self._device, facing)
                continue
            self.baseline = self.baseline.with_views({facing: snapshot.views[facing]})
        self._filled -= snapshot.views.keys()
        self._anew = False
        stocked = {
            facing: snapshot.views[facing]
            for facing, alone in snapshot.alone.items()
            if facing not in self.baseline.views
            and alone.score <= STOCKED_SCORE
            and alone.fill >= STOCKED_FILL
        }
        unknown = sorted(snapshot.views.keys() - self.baseline.views.keys() - stocked.keys())
        if unknown and not self._told_unknown:
            self._told_unknown = True
            _log.warning(
                "%s: no baseline yet of %s: say restocked when they are full, or give shelf_gap.baseline",
                self._device,
                ", ".join(unknown),
            )
        if stocked:
            self.baseline = self.baseline.with_views(stocked)
            _log.info("%s: baseline of %s taken", self._device, ", ".join(sorted(stocked)))
