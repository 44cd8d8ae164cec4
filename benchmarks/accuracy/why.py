"""Why a goal is not reached: written by hand, shown beside the goal as long as it is missed."""

WHY: dict[tuple[str, str], str] = {
    ("produce", "exact"): (
        "the filter that is told reaches 0.868: without tags, pieces that vary by 10 % do not weigh their number"
    ),
    ("unfamiliar-produce", "at most 2 points behind the filter that is told"): (
        "half of the products have no printed spread; 5 % is guessed where they vary by up to 15 %"
    ),
}
"""Store and what it has to reach (`"hard", "exact"`) to one sentence."""
