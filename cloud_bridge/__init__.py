"""HQ: every shelf of every store, now."""
