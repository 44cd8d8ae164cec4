"""Measurements on the real parts; every figure stands beside a baseline or an audit of the same run."""
