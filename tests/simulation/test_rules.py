"""The rules that the histories need: each of them broken, the check sees it."""

from __future__ import annotations

import pytest

from tests.simulation import broken
from tests.simulation.lives import Scratch, lived

CAUGHT_WITHIN = 400
"""Seeds within which a broken rule must show."""


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (broken.trust_numbers, ("is lost", "is held and not told", "does not get through")),
        (broken.no_merge_base, ("is there 2 times",)),
        (broken.prune_at_applied, ("is lost",)),
        (broken.answer_before_commit, ("is lost",)),
        (broken.agent_does_not_compare, ("is lost", "is held and not told", "does not get through")),
    ],
)
def test_a_broken_rule_is_caught(
    breaks: broken.Break, says: tuple[str, ...], scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = breaks(monkeypatch)
    for seed in range(CAUGHT_WITHIN):
        _, found = lived(seed, scratch, kind=kind)
        if any(word in problem for problem in found for word in says):
            return
    pytest.fail(f"{CAUGHT_WITHIN} histories without {breaks.__name__}: the check is blind")


def test_where_hq_keeps_what_it_committed_that_is_safe_to_forget(scratch: Scratch) -> None:
    """The other side of `answer_before_commit`: the same worlds with an HQ that commits first."""
    for seed in range(40):
        assert lived(seed, scratch, kind=broken.SteadyWorld)[1] == [], f"seed {seed}"
