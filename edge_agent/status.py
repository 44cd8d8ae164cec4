"""How the agent is: what `edge-agent status` and `GET /v1/status` tell."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from edge_agent.config.cameras import Camera
from edge_agent.config.store import StoreSettings
from edge_agent.contract.times import rfc3339
from edge_agent.fullness import level_of
from edge_agent.journal import Journal
from edge_agent.pipeline import Pipeline
from edge_agent.supervisor import KeptDevice
from edge_agent.sync import Uplink
from edge_agent.upkeep import Upkeep


@dataclass(frozen=True, slots=True)
class Status:
    """Looks at one store's running parts; keeps nothing. `started_s` is monotonic."""

    settings: StoreSettings
    journal: Journal
    pipeline: Pipeline
    devices: Sequence[KeptDevice]
    uplink: Uplink | None
    upkeep: Upkeep
    started_s: float
    revision: int
    """Of the planogram in use: HQ's, or 0 for the file's."""

    def facings(self) -> list[dict[str, object]]:
        """Every facing as it is believed now."""
        names = {p.gtin: p.name for p in self.settings.products}
        by_id = {f.id: f for f in self.settings.facings}
        rows: list[dict[str, object]] = []
        for belief in self.pipeline.estimator.beliefs.values():
            state, facing = belief.state(), by_id[belief.facing]
            rows.append(
                {
                    **{key: getattr(state, key) for key in state.__struct_fields__},
                    "name": names.get(belief.gtin, ""),
                    "capacity": facing.capacity,
                    "reorder_point": facing.reorder_point,
                    "reasons": list(belief.reasons),
                    "interval": belief.interval,
                    "contributions": dict(belief.contributions),
                }
            )
        return rows

    def answer(self) -> dict[str, object]:
        """What `edge-agent status` prints."""
        conditions = self.pipeline.health.conditions
        kept = {device.device: device for device in self.devices}
        return {
            "store": self.settings.store.id,
            "version": version("shelf-edge"),
            "agent_id": self.journal.agent_id,
            "uptime_s": round(time.monotonic() - self.started_s, 1),
            "devices": [
                {
                    **{k: getattr(c.state(), k) for k in c.state().__struct_fields__},
                    "identity": c.identity,
                    "restarts": kept[c.device].restarts,
                    "skipped_bytes": kept[c.device].skipped_bytes,
                }
                for c in conditions.values()
            ],
            "planogram": {"revision": self.revision},
            "facings": self.facings(),
            "environment": self._environment(),
            "outbox": self._outbox(),
            "journal": self._journal(),
            "sync": self._sync(),
            "cameras": self._cameras(),
            "disk": self._disk(),
        }

    def _journal(self) -> dict[str, object]:
        """`refusal`: what the disk says while it takes nothing. `damaged`: files that were moved aside."""
        mode, synchronous = self.journal.durability
        return {
            "mode": mode,
            "synchronous": synchronous,
            "refusal": self.journal.refusal,
            "damaged": self.journal.damaged_files(),
        }

    def _disk(self) -> dict[str, object]:
        """`alarm`: 0, or the per cent that are reached (70, 85, 95)."""
        fullness, ballast = self.upkeep.fullness, self.journal.ballast
        return {
            "free_mb": shutil.disk_usage(self.journal.path.parent).free // 2**20,
            "used_mb": round(fullness.used / 2**20, 1),
            "quota_mb": self.settings.agent.disk_quota_mb,
            "full_percent": round(fullness.percent, 1),
            "alarm": level_of(fullness, self.upkeep.level),
            "ballast_missing": ballast.is_missing,
        }

    def _environment(self) -> list[dict[str, object]]:
        """The newest value of every quantity; `alarm` is the side of an open alarm (above, below)."""
        return [
            {
                "device": q.device,
                "quantity": q.quantity,
                "unit": q.unit,
                "value": q.value,
                "alarm": q.alarm,
                "measured_at": rfc3339(q.measured_at),
            }
            for q in self.pipeline.environment.quantities.values()
            if q.device in self.pipeline.health.conditions
        ]

    def _outbox(self) -> dict[str, object]:
        waiting = self.journal.rows_after(self.journal.position.applied, limit=1)
        return {
            "rows": self.journal.durable_seq - self.journal.position.applied,
            "oldest_at": waiting[0].occurred_at if waiting else None,
            "last_seq": self.journal.durable_seq,
            "base_seq": self.journal.position.base_seq,
        }

    def _sync(self) -> dict[str, object]:
        if self.uplink is None:
            return {"configured": False}
        status = self.uplink.status
        return {
            "configured": True,
            "online": status.online,
            "problem": status.problem,
            "applied": status.applied,
            "safe": self.journal.position.safe,
            "branch": self.journal.position.branch,
            "clock_offset_s": status.clock_offset_s,
        }

    def _cameras(self) -> list[dict[str, object]]:
        """The detectors of the cameras; `problem` is why the file that lies there now is not in use."""
        if not any(isinstance(device, Camera) for device in self.settings.devices):
            return []
        from edge_agent.vision.detectors import IN_USE

        return [
            {
                "model": report.model,
                "family": report.family,
                "sha256": report.sha256,
                "loaded_at": rfc3339(report.loaded_at),
                "problem": report.problem,
            }
            for report in IN_USE.report()
        ]
