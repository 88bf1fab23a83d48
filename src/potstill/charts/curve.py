"""Numbers over steps: a learning curve, a loss, a score after each round."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from potstill.charts.canvas import CHAR_WIDTH, LINE_HEIGHT, NUM_COLOURS, WIDTH, Canvas, format_number, ticks

_LEFT, _TOP, _HEIGHT, _BOTTOM = 62, 30, 240, 44
_MAX_POINTS = 400
_MAX_DOTS = 40
# Beyond it a float no longer tells one whole number from the next.
_LARGEST = 1e15
_MAX_LABEL_WIDTH = 190


@dataclass(frozen=True, slots=True)
class Series:
    """A named line through (x, y); points that are not finite, or beyond 1e15, are left out."""

    name: str
    points: tuple[tuple[float, float], ...]


def curve(series: Sequence[Series], title: str, *, x_label: str, y_label: str) -> str:
    """An SVG line chart; each line is named at its end. At most 400 points of a line are drawn."""
    drawn = [(one.name, points) for one in series if (points := _finite(one.points))]
    canvas = Canvas()
    if not drawn:
        canvas.text(0, 24, "No point to draw yet.", "soft")
        return canvas.svg(40, title, "No point to draw yet.")
    frame = _Frame.around([point for _, points in drawn for point in points], _label_width(drawn))
    frame.draw_axes(canvas, x_label, y_label)
    ends = []
    for index, (name, points) in enumerate(drawn):
        colour = index % NUM_COLOURS
        frame.draw_line(canvas, name, points, colour)
        ends.append((frame.y(points[-1][1]), name, colour))
    _label_ends(canvas, ends, frame.right + 10)
    description = "; ".join(_told(name, points, x_label, y_label) for name, points in drawn)
    return canvas.svg(_TOP + _HEIGHT + _BOTTOM, title, description + ".")


@dataclass(frozen=True, slots=True)
class _Frame:
    """The rectangle of the plot and what its edges stand for."""

    x_ticks: list[float]
    y_ticks: list[float]
    right: float

    @classmethod
    def around(cls, points: Sequence[tuple[float, float]], label_width: float) -> "_Frame":
        xs, ys = [x for x, _ in points], [y for _, y in points]
        return cls(ticks(*_range(xs), 6), ticks(*_range(ys)), WIDTH - label_width)

    def x(self, value: float) -> float:
        low, high = self.x_ticks[0], self.x_ticks[-1]
        return _LEFT + (self.right - _LEFT) * (value - low) / (high - low)

    def y(self, value: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return _TOP + _HEIGHT * (high - value) / (high - low)

    def draw_axes(self, canvas: Canvas, x_label: str, y_label: str) -> None:
        for tick in self.y_ticks:
            canvas.line(_LEFT, self.y(tick), self.right, self.y(tick), "grid")
            canvas.text(_LEFT - 8, self.y(tick) + 4, format_number(tick), "soft number end")
        for tick in self.x_ticks:
            canvas.text(self.x(tick), _TOP + _HEIGHT + 18, format_number(tick), "soft number middle")
        canvas.text(0, 14, y_label, "soft")
        canvas.text(self.right, _TOP + _HEIGHT + 38, x_label, "soft end")

    def draw_line(
        self, canvas: Canvas, name: str, points: Sequence[tuple[float, float]], colour: int
    ) -> None:
        thinned = _thinned(points, _MAX_POINTS)
        canvas.path([(self.x(x), self.y(y)) for x, y in thinned], f"line line-{colour}")
        # On a dense line dots are clutter; they are there to be pointed at.
        hidden = " unseen" if len(points) > _MAX_DOTS else ""
        for x, y in _thinned(points, _MAX_DOTS):
            told = f"{name}: {format_number(y)} at {format_number(x)}"
            canvas.dot(self.x(x), self.y(y), f"dot-{colour}{hidden}", told)


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if abs(x) <= _LARGEST and abs(y) <= _LARGEST]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1.0):
        # A flat line still needs a scale; it is drawn in the middle.
        margin = max(abs(low) / 2, 1e-3)
        return low - margin, high + margin
    return low, high


def _thinned(points: Sequence[tuple[float, float]], count: int) -> list[tuple[float, float]]:
    """Evenly many of the points, first and last among them."""
    if len(points) <= count:
        return list(points)
    return [points[round(index * (len(points) - 1) / (count - 1))] for index in range(count)]


def _label_width(drawn: Sequence[tuple[str, object]]) -> float:
    longest = max(len(name) for name, _ in drawn)
    return min(longest * CHAR_WIDTH + 18, _MAX_LABEL_WIDTH)


def _label_ends(canvas: Canvas, ends: list[tuple[float, str, int]], x: float) -> None:
    """Names beside the ends of their lines, moved down where two would cover each other."""
    lowest = -math.inf
    for y, name, colour in sorted(ends):
        lowest = max(y, lowest + LINE_HEIGHT)
        canvas.text(x, lowest + 4, name, f"dot-{colour} strong", room=WIDTH - x)


def _told(name: str, points: Sequence[tuple[float, float]], x_label: str, y_label: str) -> str:
    (first_x, first_y), (last_x, last_y) = points[0], points[-1]
    return (
        f"{name}: {y_label} from {format_number(first_y)} at {x_label} {format_number(first_x)} "
        f"to {format_number(last_y)} at {format_number(last_x)}"
    )
