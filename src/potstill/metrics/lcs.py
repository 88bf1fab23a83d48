"""The length of a longest common subsequence, many rows of the table at a time."""

from collections.abc import Hashable, Sequence


def lcs_length(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """How many items a longest common subsequence of the two has.

    One integer of len(first) bits holds a column of the dynamic programming table, a zero bit where the
    length grows by one (Hyyrö 2004, "Bit-parallel LCS-length computation revisited", section 3), so the work
    is len(second) steps on integers instead of len(first) * len(second) comparisons.
    """
    positions: dict[Hashable, int] = {}
    for index, item in enumerate(first):
        positions[item] = positions.get(item, 0) | 1 << index
    mask = (1 << len(first)) - 1
    column = mask
    for item in second:
        if matches := positions.get(item, 0):
            grown = column & matches
            column = (column + grown | column - grown) & mask
    return len(first) - column.bit_count()
