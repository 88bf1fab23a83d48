"""Figures side by side, each with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from potstill.charts.canvas import WIDTH, Canvas

_LABEL_WIDTH = 200
_BAR_X = 212
_BAR_WIDTH = 330
_ROW_HEIGHT = 30


@dataclass(frozen=True, slots=True)
class Bar:
    """A finite `value` with the bounds of its interval, if it has one; what `stands_out` is in colour."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    stands_out: bool = False


def bars(rows: Sequence[Bar], title: str, *, unit: str = "") -> str:
    """An SVG table of horizontal bars from zero, with whiskers for intervals and the numbers beside."""
    canvas = Canvas()
    number = _Number.for_rows(rows, unit)
    ends = [end for row in rows for end in (row.value, row.low, row.high) if end is not None]
    assert all(math.isfinite(end) for end in ends), "a bar needs finite numbers"
    left, right = min([0.0, *ends]), max([0.0, *ends])
    scale = _BAR_WIDTH / ((right - left) or 1.0)
    y = 6.0
    for row in rows:
        _draw(canvas, y, row, _BAR_X - left * scale, scale, number)
        y += _ROW_HEIGHT
    if rows:
        canvas.line(_BAR_X - left * scale, 2, _BAR_X - left * scale, y - 4, "grid")
    else:
        canvas.text(0, y + 16, "No figure yet.", "soft")
        y += _ROW_HEIGHT
    told = "; ".join(f"{row.label}: {number.of(row)}" for row in rows)
    return canvas.svg(y, title, f"{told}." if told else "No figure yet.")


def _draw(canvas: Canvas, y: float, row: Bar, zero: float, scale: float, number: "_Number") -> None:
    canvas.text(0, y + 17, row.label, "strong" if row.stands_out else "", room=_LABEL_WIDTH)
    end = zero + row.value * scale
    kind = "fill-0" if row.stands_out else "fill-4 beside"
    canvas.bar(min(zero, end), y + 4, abs(end - zero), 18, kind, f"{row.label}: {number.of(row)}")
    if row.low is not None and row.high is not None:
        low, high = zero + row.low * scale, zero + row.high * scale
        canvas.line(low, y + 13, high, y + 13, "whisker")
        for x in (low, high):
            canvas.line(x, y + 8, x, y + 18, "whisker")
    canvas.text(WIDTH, y + 17, number.of(row), "number end")


@dataclass(frozen=True, slots=True)
class _Number:
    """How the numbers of one chart are written: all with as many decimals, so that they can be compared."""

    decimals: int
    unit: str

    @classmethod
    def for_rows(cls, rows: Sequence[Bar], unit: str) -> "_Number":
        largest = max((abs(row.value) for row in rows), default=0.0)
        if all(row.value == int(row.value) and row.low is None for row in rows):
            return cls(0, unit)
        return cls(2 - math.floor(math.log10(largest)) if 0 < largest < 100 else int(largest < 1000), unit)

    def of(self, row: Bar) -> str:
        value = f"{row.value:,.{self.decimals}f}{self.unit}"
        if row.low is None or row.high is None:
            return value
        return f"{value} ({row.low:,.{self.decimals}f} to {row.high:,.{self.decimals}f})"
