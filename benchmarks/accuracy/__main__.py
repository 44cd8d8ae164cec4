"""`make accuracy`: every kind of store over held-out seeds, as docs/accuracy.md.

ACCURACY_SEEDS (101,102), ACCURACY_HOURS (3), ACCURACY_JOBS (the machine's cores), and names of stores as
arguments: then the page is printed. Each store is two processes; the figures do not depend on how many run.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.accuracy.page import page
from benchmarks.accuracy.results import Result
from benchmarks.accuracy.run import Ran, run
from benchmarks.accuracy.stores import HOURS, KINDS, StoreKind

PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"
NEXT_STORE = 1_000
"""Seeds of the further stores of a kind that has several to a seed are so far apart."""


def main() -> None:
    seeds = [int(seed) for seed in os.environ.get("ACCURACY_SEEDS", "101,102").split(",")]
    hours = float(os.environ.get("ACCURACY_HOURS", str(HOURS)))
    jobs = int(os.environ.get("ACCURACY_JOBS", str(os.cpu_count() or 1)))
    wanted, known = sys.argv[1:], [kind.name for kind in KINDS]
    if unknown := [name for name in wanted if name not in known]:
        sys.exit(f"no store {unknown[0]!r}; known: {'; '.join(known)}")
    written = page(_results(_stores(wanted, seeds), hours, jobs), seeds, hours)
    if wanted:
        print(written, end="")
    else:
        PAGE.write_text(written, encoding="utf-8")
        print(f"written: {PAGE}")


def _stores(wanted: Sequence[str], seeds: Sequence[int]) -> list[tuple[StoreKind, int]]:
    return [
        (kind, seed + NEXT_STORE * number)
        for kind in KINDS
        if not wanted or kind.name in wanted
        for seed in seeds
        for number in range(kind.stores)
    ]


def _results(stores: Sequence[tuple[StoreKind, int]], hours: float, jobs: int) -> dict[str, Result]:
    ran: dict[str, list[Ran]] = {kind.name: [] for kind, _ in stores}
    began = time.monotonic()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        pending = [(kind, seed, pool.submit(run, kind, seed, seconds=hours * 3600)) for kind, seed in stores]
        for kind, seed, one in pending:
            ran[kind.name].append(one.result())
            print(f"{kind.name}, seed {seed}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    kinds = {kind.name: kind for kind, _ in stores}
    return {name: Result.of(kinds[name], found) for name, found in ran.items()}


if __name__ == "__main__":
    main()
