"""Telling HQ, exactly once and the present first."""

from edge_agent.sync.line import HqLine
from edge_agent.sync.uplink import Uplink

__all__ = ["HqLine", "Uplink"]
