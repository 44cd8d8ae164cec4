"""Why a goal is not reached: written by hand, shown beside the goal as long as it is missed."""

WHY: dict[str, str] = {}
"""Name of a goal, as the page shows it up to its figure (`hard: exact`), to one sentence."""
