"""Why a goal is not reached: written by hand, shown beside the goal as long as it is missed."""

WHY: dict[tuple[str, str], str] = {}
"""Store and what it has to reach (`"hard", "exact"`) to one sentence."""
