"""Seeing devices as they are: `devices`, `watch`, `record` and `replay`."""
