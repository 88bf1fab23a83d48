"""report.html: one page that tells what a run did, in one file that loads nothing.

There is no script and no address in it, everything a model or a corpus wrote is escaped, and the policy in
its head allows the one style sheet by its hash and nothing else. The page adds no time of its own, so equal
reports are equal bytes.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from potstill.charts.bars import Bar, bars
from potstill.charts.canvas import CHART_CSS, format_number
from potstill.charts.curve import Series, curve
from potstill.charts.funnel import FunnelStage, funnel
from potstill.files import write_text
from potstill.progress import format_duration
from potstill.runs.html import Content, Markup, element, joined, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A number with the bounds of its interval, if it has one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A column of the comparison. `is_drawn` gives it a chart; `unit` follows the number (`%`)."""

    name: str
    unit: str = ""
    is_drawn: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemResult:
    """One system on the evaluation sentences: its measure for each metric's name that it has."""

    name: str
    measures: Mapping[str, Measure]
    stands_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number that stands large at the top."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One source with the output of base and student; what is wrong with an output stands beside it."""

    source: str
    before: str
    after: str
    before_note: str = ""
    after_note: str = ""
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A pair that was turned away, and the number it was turned away for."""

    source: str
    target_text: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    reason: str
    count: int
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a stage took; left out of a report that must be the same bytes after a resume."""

    stage: str
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything the page shows; a part that is empty is left out.

    title, lead   what was made, in a few words, and in a sentence or two
    figures       three or four numbers that say how it went
    examples      some sources before and after
    metrics, systems   the comparison: columns and rows
    funnel        how many candidates each step let through, with losses by reason
    rejections    samples of what was turned away, by reason
    curves        learning curves
    costs         time and memory of the stages
    settings      the recipe's tables
    environment   what it ran on
    notes         licences and caveats, a sentence each
    """

    title: str
    lead: str
    figures: tuple[Figure, ...] = ()
    examples: tuple[Example, ...] = ()
    metrics: tuple[Metric, ...] = ()
    systems: tuple[SystemResult, ...] = ()
    funnel: tuple[FunnelStage, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    curves: tuple[Curve, ...] = ()
    costs: tuple[Cost, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def write_report(report: Report, path: Path) -> None:
    write_text(path, report_html(report))


def report_html(report: Report) -> str:
    style = files("potstill.runs").joinpath("report.css").read_text("utf-8") + CHART_CSS
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = joined(
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        Markup('<meta name="referrer" content="no-referrer">'),
        element("title", report.title),
        Markup(f"<style>{style}</style>"),
    )
    body = element("main", _header(report), *_sections(report), _footer(report))
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n'


def _header(report: Report) -> Markup:
    figures = [
        element(
            "div",
            element("dt", figure.label),
            element("dd", figure.value, class_="value"),
            element("dd", figure.note, class_="note"),
        )
        for figure in report.figures
    ]
    return element(
        "header",
        element("p", "potstill · run report", class_="mark"),
        element("h1", report.title),
        element("p", report.lead, class_="lead"),
        element("dl", *figures, class_="figures") if figures else "",
    )


def _sections(report: Report) -> list[Markup]:
    parts: list[tuple[str, str, Markup]] = [
        (
            "Before and after",
            "The same sources, written by the base model and by the student.",
            _examples(report),
        ),
        ("Comparison", _metric_notes(report.metrics), _comparison(report)),
        (
            "From candidates to pairs",
            "Every candidate that was turned away is counted by reason.",
            _funnel(report),
        ),
        ("Turned away", "Samples of what did not become a training pair.", _rejections(report.rejections)),
        ("Learning", "", joined(*(_curve(each) for each in report.curves))),
        ("Time and memory", "", _costs(report.costs)),
        ("Settings", "All values of the recipe, defaults included.", _settings(report.settings)),
        ("Environment", "", _pairs(report.environment)),
    ]
    return [
        element("section", element("h2", title), element("p", lead, class_="soft") if lead else "", content)
        for title, lead, content in parts
        if content
    ]


def _examples(report: Report) -> Markup:
    has_reference = any(example.reference for example in report.examples)
    cards = []
    for example in report.examples:
        rows: list[tuple[str, str, str, str]] = [
            ("Before", example.before, example.before_note, "before"),
            ("After", example.after, example.after_note, "after"),
        ]
        if has_reference and example.reference:
            rows.append(("Reference", example.reference, "", "reference"))
        outputs = [
            element(
                "div",
                element("span", label, class_="label"),
                element("p", text or "(nothing)", class_="text"),
                element("p", note, class_="note") if note else "",
                class_=kind,
            )
            for label, text, note, kind in rows
        ]
        cards.append(element("article", element("p", example.source, class_="source text"), *outputs))
    return element("div", *cards, class_="examples") if cards else Markup()


def _comparison(report: Report) -> Markup:
    if not report.systems:
        return Markup()
    drawn = [
        element("figure", element("figcaption", metric.name), Markup(_bars(metric, report.systems)))
        for metric in report.metrics
        if metric.is_drawn
    ]
    rows: list[list[Content]] = [
        [
            element("strong", system.name) if system.stands_out else system.name,
            *(_measure(system.measures.get(metric.name), metric.unit) for metric in report.metrics),
        ]
        for system in report.systems
    ]
    columns: list[Content] = ["", *(metric.name for metric in report.metrics)]
    return joined(*drawn, table(columns, rows, numbers=frozenset(range(1, len(columns)))))


def _bars(metric: Metric, systems: Sequence[SystemResult]) -> str:
    rows = [
        Bar(system.name, found.value, found.low, found.high, system.stands_out)
        for system in systems
        if (found := system.measures.get(metric.name)) is not None
    ]
    return bars(rows, metric.name, unit=metric.unit)


def _measure(measure: Measure | None, unit: str) -> Content:
    if measure is None:
        return "–"
    value = f"{format_number(measure.value)}{unit}"
    if measure.low is None or measure.high is None:
        return value
    bounds = f"{format_number(measure.low)} to {format_number(measure.high)}"
    return joined(value, element("span", bounds, class_="interval"))


def _metric_notes(metrics: Sequence[Metric]) -> str:
    return " ".join(f"{metric.name}: {metric.note}" for metric in metrics if metric.note)


def _funnel(report: Report) -> Markup:
    if not report.funnel:
        return Markup()
    return element("figure", Markup(funnel(report.funnel, "Candidates after each step")))


def _rejections(rejections: Sequence[Rejection]) -> Markup:
    parts = []
    for rejection in rejections:
        rows: list[list[Content]] = [[each.source, each.target_text, each.note] for each in rejection.samples]
        name = joined(rejection.reason, " ", element("span", f"{rejection.count:,}", class_="count"))
        content: Content = (
            table(["source", "output", "why"], rows) if rows else element("p", "No sample was kept.")
        )
        parts.append(element("details", element("summary", name), content))
    return joined(*parts)


def _curve(each: Curve) -> Markup:
    drawing = Markup(curve(each.series, each.title, x_label=each.x_label, y_label=each.y_label))
    return element("figure", element("figcaption", each.title), drawing)


def _costs(costs: Sequence[Cost]) -> Markup:
    if not costs:
        return Markup()
    rows: list[list[Content]] = [
        [cost.stage, format_duration(cost.seconds), f"{cost.peak_bytes / 2**30:.2f} GiB"] for cost in costs
    ]
    rows.append(
        [
            element("strong", "all"),
            format_duration(sum(cost.seconds for cost in costs)),
            f"{max(cost.peak_bytes for cost in costs) / 2**30:.2f} GiB",
        ]
    )
    return table(["stage", "time", "most memory"], rows, numbers=frozenset({1, 2}))


def _settings(settings: Mapping[str, Any]) -> Markup:
    parts = [
        element("details", element("summary", f"[{name}]"), _pairs(values))
        for name, values in settings.items()
        if isinstance(values, Mapping)
    ]
    return joined(*parts)


def _pairs(values: Mapping[str, Any]) -> Markup:
    rows: list[list[Content]] = [[name, _shown(value)] for name, value in values.items() if value is not None]
    return table(["", ""], rows) if rows else Markup()


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "–"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _footer(report: Report) -> Markup:
    notes = [element("p", note) for note in report.notes]
    return element(
        "footer", *notes, element("p", "Made by potstill. This page loads nothing and sends nothing.")
    )
