"""`make bench`: every benchmark in turn, one JSON line each; ARGS names the ones to run."""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys

import benchmarks

NAMES = sorted(
    m.name
    for m in pkgutil.iter_modules(benchmarks.__path__)
    if m.name not in ("__main__", "store", "accuracy", "slot_pairs", "slot_fit")
)


def main() -> None:
    for name in sys.argv[1:] or NAMES:
        if name not in NAMES:
            raise SystemExit(f"no benchmark {name!r}; there are: {', '.join(NAMES)}")
        figures = importlib.import_module(f"benchmarks.{name}").main()
        print(json.dumps({"benchmark": name, **(figures or {})}), flush=True)


main()
