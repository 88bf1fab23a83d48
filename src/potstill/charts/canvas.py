"""What every chart is drawn with: escaped SVG elements, one style sheet for light and dark, axis ticks.

A chart carries classes and no colours, so a page includes `CHART_CSS` once; `standalone` puts it inside one
chart, for a file of its own. There is no script, and nothing is loaded.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from html import escape

WIDTH = 720
# Bold system fonts are this wide, more or less; ordinary ones narrower.
CHAR_WIDTH = 8.0
LINE_HEIGHT = 18

CHART_CSS = """\
.chart { width: 100%; max-width: 720px; height: auto; font: 13px system-ui, sans-serif;
  --chart-ink: #1d2430; --chart-soft: #5b6472; --chart-grid: #dfe3e8; --chart-loss: #c2571a;
  --chart-0: #1f6fb2; --chart-1: #b4530f; --chart-2: #24784c; --chart-3: #7a4fb0; --chart-4: #5b6472; }
@media (prefers-color-scheme: dark) { .chart {
  --chart-ink: #e8ebf0; --chart-soft: #a3adba; --chart-grid: #353c47; --chart-loss: #e89255;
  --chart-0: #6cb2ee; --chart-1: #f0a264; --chart-2: #67c497; --chart-3: #bf9cec; --chart-4: #a3adba; } }
.chart text { fill: var(--chart-ink); }
.chart .strong { font-weight: 600; }
.chart .soft { fill: var(--chart-soft); font-size: 12px; }
.chart .end { text-anchor: end; }
.chart .middle { text-anchor: middle; }
.chart .number { font-variant-numeric: tabular-nums; }
.chart .grid { stroke: var(--chart-grid); stroke-width: 1; }
.chart .whisker { stroke: var(--chart-ink); stroke-width: 1.5; }
.chart .track { fill: var(--chart-grid); opacity: 0.5; }
.chart .loss { fill: var(--chart-loss); }
.chart .fill-0 { fill: var(--chart-0); } .chart .fill-4 { fill: var(--chart-4); }
.chart .beside { opacity: 0.6; }
.chart .unseen { opacity: 0; } .chart .unseen:hover { opacity: 1; }
.chart .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.chart .line-0 { stroke: var(--chart-0); } .chart .dot-0 { fill: var(--chart-0); }
.chart .line-1 { stroke: var(--chart-1); stroke-dasharray: 7 3; } .chart .dot-1 { fill: var(--chart-1); }
.chart .line-2 { stroke: var(--chart-2); stroke-dasharray: 2 3; } .chart .dot-2 { fill: var(--chart-2); }
.chart .line-3 { stroke: var(--chart-3); stroke-dasharray: 9 3 2 3; } .chart .dot-3 { fill: var(--chart-3); }
.chart .line-4 { stroke: var(--chart-4); stroke-dasharray: 4 4; } .chart .dot-4 { fill: var(--chart-4); }
"""
NUM_COLOURS = 5

# XML has no place for these, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escaped(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))


class Canvas:
    """Collects elements from the top down; coordinates are pixels of a drawing `WIDTH` wide."""

    def __init__(self) -> None:
        self._elements: list[str] = []

    def text(self, x: float, y: float, text: str, kind: str = "", *, room: float = math.inf) -> None:
        """Text on the base line y; what does not fit into `room` pixels is cut, and told in a tooltip."""
        shown = fitted(text, room)
        tooltip = f"<title>{escaped(text)}</title>" if shown != text else ""
        self._add(f'<text x="{x:.1f}" y="{y:.1f}"{_class(kind)}>{escaped(shown)}{tooltip}</text>')

    def bar(self, x: float, y: float, width: float, height: float, kind: str, tooltip: str = "") -> None:
        inner = f"<title>{escaped(tooltip)}</title>" if tooltip else ""
        place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}" rx="2"'
        self._add(f"<rect {place}{_class(kind)}>{inner}</rect>")

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        self._add(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"{_class(kind)}/>')

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._add(f'<polyline points="{steps}"{_class(kind)}/>')

    def dot(self, x: float, y: float, kind: str, tooltip: str) -> None:
        place = f'cx="{x:.1f}" cy="{y:.1f}" r="3"'
        self._add(f"<circle {place}{_class(kind)}><title>{escaped(tooltip)}</title></circle>")

    def svg(self, height: float, title: str, description: str) -> str:
        """The whole drawing; title and description are what a screen reader says in its place."""
        body = "\n".join(self._elements)
        # Ids must differ between the charts of a page, and be the same each time the page is made.
        name = "chart-" + hashlib.blake2b(f"{escaped(title)}\n{body}".encode(), digest_size=6).hexdigest()
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {WIDTH} {height:.0f}" '
            f'role="img" aria-labelledby="{name}-title {name}-desc">\n'
            f'<title id="{name}-title">{escaped(title)}</title>\n'
            f'<desc id="{name}-desc">{escaped(description)}</desc>\n{body}\n</svg>\n'
        )

    def _add(self, element: str) -> None:
        self._elements.append(element)


def standalone(svg: str) -> str:
    """The chart with its style sheet inside, for a file of its own."""
    opening, body = svg.split(">", 1)
    return f"{opening}>\n<style>\n{CHART_CSS}</style>{body}"


def fitted(text: str, room: float) -> str:
    """Text cut to about `room` pixels, with an ellipsis where something is missing."""
    if len(text) * CHAR_WIDTH <= room:
        return text
    return text[: max(int(room / CHAR_WIDTH) - 1, 1)].rstrip() + "…"


def format_number(value: float) -> str:
    """`12,345`, `0.0312`, `24.3`: whole numbers whole, others to three digits that matter."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def format_share(part: float, whole: float) -> str:
    """A percentage with one decimal, more below a tenth of a percent; a dash of nothing."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    return f"{percent:.2g}%" if 0 < percent < 0.1 else f"{percent:.1f}%"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers that enclose low and high, which are finite and differ."""
    rough = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
