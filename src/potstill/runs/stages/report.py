"""Stage `report`: everything the run found, on one page."""

from collections.abc import Mapping, Sequence
from typing import Any

from potstill.charts.curve import Series
from potstill.charts.funnel import FunnelStage, Loss
from potstill.devices import describe_machine
from potstill.files import read_json
from potstill.records.read import read_records
from potstill.runs import report
from potstill.runs.recipe import Recipe
from potstill.runs.stage import StageContext
from potstill.runs.stages import evaluation, pairs, student, verdicts
from potstill.settings import to_table
from potstill.synthesis.critics import novelty, order_kept
from potstill.types import TextPair

FILE = "report.html"
_NUM_EXAMPLES = 8
# Figures of the comparison with what the page calls them.
_METRICS = {
    evaluation.ALL_CRITICS: report.Metric(
        name="pass all critics", unit="%", is_drawn=True, note="outputs that pass every critic of the run."
    ),
    evaluation.INDEPENDENT: report.Metric(
        name="pass independent critics", unit="%", is_drawn=True, note="critics that chose no pair."
    ),
    "compression": report.Metric(
        name="compression", unit="%", note="characters of the output for each of the source."
    ),
    "rouge_1": report.Metric(name="ROUGE-1", unit="%"),
    "rouge_2": report.Metric(name="ROUGE-2", unit="%"),
    "rouge_l": report.Metric(name="ROUGE-L", unit="%"),
}
# What each step of the funnel is called, by the reasons it rejects for.
_STEPS = (
    ("whole sentences", ("did not end", "not one whole sentence", "too few words")),
    ("short, but no copy", ("too long", "too short", "too many tokens", "the source cut short", "a copy")),
    ("numbers and names stand in the source", ("a number the source lacks", "a name the source lacks")),
    ("informative", ("not said by the source", "misses the point", "says something else")),
    ("entailed", ("does not follow from the source",)),
    ("one for each thing said", ("says what a better pair says",)),
)


def write_report(context: StageContext, recipe: Recipe, teacher: str) -> None:
    funnel = pairs.read_funnel(context.inputs["pairs"])
    comparison = read_json(context.inputs["evaluation"] / evaluation.FILE)
    history = read_json(context.inputs["student"] / student.HISTORY)
    thresholds = read_json(context.inputs["thresholds"] / verdicts.FILE)
    scores = comparison["scores"]
    page = report.Report(
        title=f"{recipe.task.name}: {recipe.run.name}",
        lead=f"A student made from {recipe.model.student or teacher} on pairs that {teacher} wrote; "
        f"nobody labelled anything.",
        figures=_figures(funnel, scores),
        examples=_examples(context),
        metrics=tuple(_METRICS[figure] for figure in scores[evaluation.STUDENT_SYSTEM]),
        systems=tuple(_system(name, figures) for name, figures in scores.items()),
        funnel=_funnel(funnel),
        rejections=_rejections(funnel),
        curves=_curves(history),
        environment=_environment(),
        settings={**to_table(recipe), "thresholds": thresholds["minimums"]},
        notes=(
            f"Intervals are {recipe.evaluation.level:.0%} percentile bootstrap intervals over "
            f"{comparison['num_examples']:,} sentences.",
            "Weights that come from Gemma are under the Gemma terms of use: https://ai.google.dev/gemma/terms",
        ),
    )
    report.write_report(page, context.folder / FILE)


def _environment() -> dict[str, object]:
    """What the run ran on. The number of threads is a setting, and stands there."""
    return {name: value for name, value in describe_machine().items() if name != "num_threads"}


def _figures(funnel: Mapping[str, Any], scores: Mapping[str, Any]) -> tuple[report.Figure, ...]:
    def share(system: str) -> float:
        mean: float = scores[system][evaluation.ALL_CRITICS]["interval"]["mean"]
        return mean

    kept = funnel["num_kept"] / max(1, funnel["num_candidates"])
    return (
        report.Figure(
            label="pairs kept", value=f"{funnel['num_kept']:,}", note=f"{kept:.1%} of the candidates"
        ),
        report.Figure(
            label="outputs that pass, before", value=f"{share(evaluation.PLAIN):.1%}", note=evaluation.PLAIN
        ),
        report.Figure(
            label="outputs that pass, after", value=f"{share(evaluation.STUDENT_SYSTEM):.1%}", note="student"
        ),
        report.Figure(
            label="the teacher with examples",
            value=f"{share(evaluation.FEW_SHOT):.1%}",
            note=evaluation.FEW_SHOT,
        ),
    )


def _system(name: str, figures: Mapping[str, Any]) -> report.SystemResult:
    measures = {
        _METRICS[figure].name: report.Measure(
            value=100 * score["interval"]["mean"],
            low=100 * score["interval"]["low"],
            high=100 * score["interval"]["high"],
        )
        for figure, score in figures.items()
    }
    return report.SystemResult(name=name, measures=measures, stands_out=name == evaluation.STUDENT_SYSTEM)


def _examples(context: StageContext) -> tuple[report.Example, ...]:
    records = list(read_records(context.inputs["evaluation"] / evaluation.OUTPUTS))[:_NUM_EXAMPLES]
    return tuple(
        report.Example(
            source=record["input"],
            before=record["outputs"][evaluation.PLAIN],
            after=record["outputs"][evaluation.STUDENT_SYSTEM],
            after_note=_doubts(record["input"], record["outputs"][evaluation.STUDENT_SYSTEM]),
            reference=next(iter(record["summaries"]), None),
        )
        for record in records
    )


def _doubts(source: str, output: str) -> str:
    pair = [TextPair(source, output)]
    share, kept = float(novelty().scores(pair)[0]), float(order_kept().scores(pair)[0])
    return f"{share:.0%} of its longer words are new, {kept:.0%} in the source's order"


def _funnel(funnel: Mapping[str, Any]) -> tuple[FunnelStage, ...]:
    left = funnel["num_candidates"]
    stages = [FunnelStage("candidates", left)]
    told = {reason for _, reasons in _STEPS for reason in reasons}
    assert not set(funnel["losses"]) - told, "a reason of rejection has no step in the funnel"
    for name, reasons in _STEPS:
        if name == "entailed" and not funnel["losses"].keys() & set(reasons):
            # Most recipes name no model that would judge it.
            continue
        losses = tuple(
            Loss(reason, funnel["losses"][reason]) for reason in reasons if reason in funnel["losses"]
        )
        left -= sum(loss.count for loss in losses)
        stages.append(FunnelStage(name, left, losses))
    return tuple(stages)


def _rejections(funnel: Mapping[str, Any]) -> tuple[report.Rejection, ...]:
    return tuple(
        report.Rejection(
            reason=reason,
            count=count,
            samples=tuple(report.Sample(**sample) for sample in funnel["samples"][reason]),
        )
        for reason, count in funnel["losses"].items()
    )


def _curves(history: Mapping[str, Any]) -> tuple[report.Curve, ...]:
    series = [Series("training", _points(history["losses"]))]
    if history["validation"]:
        series.append(Series("validation", _points(history["validation"])))
    return (report.Curve(title="Loss", x_label="step", y_label="nats a token", series=tuple(series)),)


def _points(rows: Sequence[Sequence[float]]) -> tuple[tuple[float, float], ...]:
    return tuple((float(step), float(loss)) for step, loss in rows)
