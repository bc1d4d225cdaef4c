"""Canonical prefix codes as XPRESS and LZX use them: lengths in, one direct look-up table out."""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.media.window import Damaged

INVALID = -1


def decode_table(lengths: Sequence[int], width: int) -> list[int]:
    """For each `width` bits that may come next: `symbol << 5 | length`, or `INVALID`.

    Codes are given in order of length, then of symbol ([MS-XCA] §2.1.1, [MS-PATCH] §2.6). A code
    that is not complete leaves `INVALID` entries; too many codes are `Damaged`.
    """
    by_length: list[list[int]] = [[] for _ in range(width + 1)]
    for symbol, length in enumerate(lengths):
        by_length[length].append(symbol)
    table: list[int] = []
    for length in range(1, width + 1):
        repeat = 1 << (width - length)
        if len(by_length[length]) * repeat + len(table) > 1 << width:
            raise Damaged("a compressed chunk has an impossible prefix code")
        for symbol in by_length[length]:
            table += [symbol << 5 | length] * repeat
    table += [INVALID] * ((1 << width) - len(table))
    return table
