"""What a store's counts add up to: equal sums mean equal counts, a differing one says where to look.

Each facing with a count falls into one of 16 buckets by its id; a bucket is the sum, modulo 2^64, of one hash
a facing over its id, GTIN and count. Sums are additive, so neither side needs an order.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Annotated
from zlib import crc32

from msgspec import Meta, Struct

BUCKETS = 16
_MODULUS = 2**64

Sum = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]


class Digest(Struct, frozen=True, kw_only=True):
    """The sums of all counts exactly behind row `at_seq`, each as 16 hex digits."""

    at_seq: Annotated[int, Meta(ge=0)]
    sums: Annotated[list[Sum], Meta(min_length=BUCKETS, max_length=BUCKETS)]


def bucket_of(facing: str) -> int:
    """Which of the sums a facing is part of."""
    return crc32(facing.encode()) % BUCKETS


def sums_of(counts: Iterable[tuple[str, str, int]]) -> list[str]:
    """The sums over (facing, GTIN, on hand); a facing whose count is unknown is left out."""
    sums = [0] * BUCKETS
    for facing, gtin, on_hand in counts:
        counted = blake2b(f"{facing} {gtin} {on_hand}".encode(), digest_size=8).digest()
        sums[bucket_of(facing)] += int.from_bytes(counted, "big")
    return [f"{total % _MODULUS:016x}" for total in sums]
