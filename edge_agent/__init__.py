"""The gateway in the store: reads devices, estimates stock, buffers, syncs."""
