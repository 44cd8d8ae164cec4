"""The last messages of a device, by fingerprint."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.event_numbers import Recent


@given(st.lists(st.tuples(st.sampled_from(["a/1", "a/2", None]), st.binary(max_size=1)), max_size=60))
def test_the_last_five_are_remembered_and_no_others(messages: list[tuple[str | None, bytes]]) -> None:
    recent, last = Recent(5), deque[tuple[str | None, bytes]](maxlen=5)
    for message in messages:
        assert (message in recent) == (message in last)
        recent.add(message)
        last.append(message)
