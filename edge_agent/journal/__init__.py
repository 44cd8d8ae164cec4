"""The store's memory: what happened, what is believed, and what HQ has of it, in one SQLite file."""

from edge_agent.journal.capture import Capture
from edge_agent.journal.journal import Journal
from edge_agent.journal.state import SyncPosition

__all__ = ["Capture", "Journal", "SyncPosition"]
