"""Equal sums mean equal counts; a differing one says in which part."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.contract.digest import BUCKETS, bucket_of, sums_of

COUNTS = st.dictionaries(
    st.from_regex(r"[A-Z][0-9]{1,2}-[0-9]{2}", fullmatch=True),
    st.tuples(st.sampled_from(["06901234567892", "04006381333931"]), st.integers(0, 2**31)),
    max_size=40,
)


def test_the_sums_of_known_counts_are_the_same_for_ever() -> None:
    sums = sums_of([("A1-01", "06901234567892", 12), ("A1-02", "04006381333931", 0)])
    assert {n: s for n, s in enumerate(sums) if int(s, 16)} == {
        bucket_of("A1-01"): "48be8ce71c3bccae",
        bucket_of("A1-02"): "a8eb7e375a470cd3",
    }
    assert sums_of([]) == ["0" * 16] * BUCKETS


@given(COUNTS, st.randoms(use_true_random=False))
def test_order_does_not_matter(counts: dict[str, tuple[str, int]], chance: random.Random) -> None:
    rows = [(facing, *rest) for facing, rest in counts.items()]
    mixed = rows[:]
    chance.shuffle(mixed)
    assert sums_of(rows) == sums_of(mixed)


@given(COUNTS.filter(bool), st.data())
def test_any_changed_count_item_or_missing_facing_shows_in_its_bucket_alone(
    counts: dict[str, tuple[str, int]], data: st.DataObject
) -> None:
    facing = data.draw(st.sampled_from(sorted(counts)))
    gtin, on_hand = counts[facing]
    other = data.draw(
        st.sampled_from(
            [None, (gtin, on_hand + 1), ("04006381333931" if gtin[1] == "6" else gtin[::-1], on_hand)]
        )
    )
    changed = {**counts, facing: other}
    before = sums_of((name, *rest) for name, rest in counts.items())
    after = sums_of((name, *rest) for name, rest in changed.items() if rest is not None)
    assert [n for n in range(BUCKETS) if before[n] != after[n]] == [bucket_of(facing)]
