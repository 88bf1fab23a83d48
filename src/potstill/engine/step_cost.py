"""What a step costs by the number of positions that it runs, as it was measured. No torch here."""

from bisect import bisect_left
from collections import deque
from itertools import accumulate
from statistics import median_low
from typing import NamedTuple

# Sizes up to this are told apart, greater ones by quarters of an octave.
_EXACT = 8
_SIZES_AN_OCTAVE = 4
# The lower median of so many forgets a step that was held up, and follows texts as they grow.
_REMEMBERED = 7
_ENOUGH = 2
# What was measured so many steps ago was perhaps of shorter texts, or of a busier machine.
_FORGOTTEN_AFTER = 1024
# Of a step of the smallest size, what one more position is thought to cost before that is measured.
_ASSUMED_SHARE = 0.04


class _Point(NamedTuple):
    num_positions: float
    seconds: float


class StepCost:
    """Medians of the last steps of about the same size, and straight lines between them.

    No step is thought to take longer than a larger one: where it seems so it was held up, and it may be long
    until one of its size is measured again.
    """

    def __init__(self) -> None:
        self._measured: dict[int, deque[_Point]] = {}
        self._known: dict[int, _Point] = {}
        self._points: list[_Point] = []  # those known, in the order of their sizes
        self._noted_at: dict[int, int] = {}
        self._num_noted = 0

    def note(self, num_positions: int, seconds: float) -> None:
        """A step ran so many positions."""
        size = _size_of(num_positions)
        found = self._measured.setdefault(size, deque(maxlen=_REMEMBERED))
        found.append(_Point(num_positions, seconds))
        self._num_noted += 1
        self._noted_at[size] = self._num_noted
        if len(found) >= _ENOUGH:
            self._known[size] = _middle(found)
            self._forget_old()
            self._points = _rising([point for _, point in sorted(self._known.items())])

    def _forget_old(self) -> None:
        last = self._num_noted - _FORGOTTEN_AFTER
        for size in [size for size, noted_at in self._noted_at.items() if noted_at <= last]:
            del self._measured[size], self._noted_at[size]
            self._known.pop(size, None)

    def knows(self, num_positions: int) -> bool:
        """Whether steps of about this size were measured."""
        half, twice = num_positions / 2, num_positions * 2
        return any(half <= point.num_positions <= twice for point in self._points)

    @property
    def greatest(self) -> float:
        """The largest size that was measured; one at least must be known."""
        return self._points[-1].num_positions

    def seconds(self, num_positions: float) -> float:
        """What such a step takes; one at least must be known."""
        points = self._points
        right = bisect_left(points, num_positions, key=lambda point: point.num_positions)
        if right == 0:
            # Below what is known a step is read weights, whatever it runs.
            return points[0].seconds
        if right < len(points):
            below, above = points[right - 1], points[right]
            share = (num_positions - below.num_positions) / (above.num_positions - below.num_positions)
            return below.seconds + share * (above.seconds - below.seconds)
        return points[-1].seconds + (num_positions - points[-1].num_positions) * self._slope_beyond()

    def _slope_beyond(self) -> float:
        """Seconds a position behind all that is known."""
        first, last = self._points[0], self._points[-1]
        if len(self._points) == 1:
            return first.seconds * _ASSUMED_SHARE
        return max(last.seconds - first.seconds, 0.0) / (last.num_positions - first.num_positions)


def _middle(points: deque[_Point]) -> _Point:
    num_positions, seconds = zip(*points, strict=True)
    return _Point(median_low(num_positions), median_low(seconds))


def _rising(points: list[_Point]) -> list[_Point]:
    least = list(accumulate((point.seconds for point in reversed(points)), min))
    return [
        _Point(point.num_positions, seconds) for point, seconds in zip(points, reversed(least), strict=True)
    ]


def _size_of(num_positions: int) -> int:
    if num_positions <= _EXACT:
        return num_positions
    octave = num_positions.bit_length() - 1
    quarter = (num_positions - (1 << octave)) * _SIZES_AN_OCTAVE >> octave
    return octave * _SIZES_AN_OCTAVE + quarter
