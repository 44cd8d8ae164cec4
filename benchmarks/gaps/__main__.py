"""`python -m benchmarks.gaps`: the figures as JSON."""

from __future__ import annotations

import json

from benchmarks.gaps.run import main

print(json.dumps(main(), indent=2))
