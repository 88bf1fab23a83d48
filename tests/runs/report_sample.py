"""A report with everything on it, for tests and for looking at."""

from potstill.charts.curve import Series
from potstill.charts.funnel import FunnelStage, Loss
from potstill.runs.report import (
    Cost,
    Curve,
    Example,
    Figure,
    Measure,
    Metric,
    Rejection,
    Report,
    Sample,
    SystemResult,
)

LONG = (
    "The harbour board, which had put the question off for most of the winter, agreed late on Monday to let "
    "the old ferry sail for one more summer while a new one is built."
)


def sample_report(text: str = "") -> Report:
    """Every text field ends in `text`, so that a hostile one reaches every place there is."""
    return Report(
        title=f"shorten: a student of gemma-3-270m{text}",
        lead=f"A model of 270 million weights, trained on 1,204 pairs it made itself.{text}",
        figures=(
            Figure(label=f"outputs kept{text}", value=f"41%{text}", note=f"base model: 6%{text}"),
            Figure(label="training pairs", value="1,204", note="of 12,480 candidates"),
            Figure(label="length", value="48%", note="of the source"),
        ),
        examples=_examples(text),
        metrics=_metrics(text),
        systems=_systems(text),
        funnel=_funnel(text),
        rejections=_rejections(text),
        curves=_curves(text),
        costs=(
            Cost(stage=f"candidates{text}", seconds=312, peak_bytes=2_100_000_000),
            Cost(stage="train", seconds=401, peak_bytes=3_300_000_000),
        ),
        settings={
            f"synthesis{text}": {
                f"samples{text}": 4,
                "temperature": 0.7,
                "paths": [f"a{text}", "b"],
                "none": None,
            },
            "training": {"method": "full", "freeze": True, "thresholds": {f"k{text}": 1}},
        },
        environment={
            "processor": f"two cores{text}",
            "torch": "2.13.0",
            "cpu_features": ["avx2", "amx_bf16"],
        },
        notes=(f"gemma-3-270m is used under the Gemma Terms of Use.{text}",),
    )


def _examples(text: str) -> tuple[Example, ...]:
    return (
        Example(
            source=LONG + text,
            before=f"The harbour board is a board that is a harbour.{text}",
            after=f"The harbour board let the old ferry sail for one more summer.{text}",
            before_note=f"says less than the source{text}",
            after_note=f"fine{text}",
            reference=f"The old ferry will sail for one more summer.{text}",
        ),
        Example(
            source="Rain fell all day on the northern hills, said the forecasters.",
            before="",
            after="Rain fell all day.",
        ),
    )


def _metrics(text: str) -> tuple[Metric, ...]:
    return (
        Metric(
            name=f"kept{text}",
            unit=f"%{text}",
            is_drawn=True,
            note=f"share that passes every critic.{text}",
        ),
        Metric(name="ROUGE-L", unit=""),
        Metric(name="length", unit="%"),
    )


def _systems(text: str) -> tuple[SystemResult, ...]:
    return (
        SystemResult(
            name=f"plain prompt{text}",
            measures={
                f"kept{text}": Measure(value=1.4, low=0.6, high=2.6),
                "ROUGE-L": Measure(value=18.2),
            },
        ),
        SystemResult(
            name="few-shot prompt",
            measures={
                f"kept{text}": Measure(value=11.8, low=9.2, high=14.6),
                "ROUGE-L": Measure(value=22.9, low=22.1, high=23.8),
                "length": Measure(value=61),
            },
        ),
        SystemResult(
            name="student",
            measures={
                f"kept{text}": Measure(value=41.2, low=37, high=45.6),
                "ROUGE-L": Measure(value=25.4, low=24.6, high=26.1),
                "length": Measure(value=48.2),
            },
            stands_out=True,
        ),
    )


def _funnel(text: str) -> tuple[FunnelStage, ...]:
    return (
        FunnelStage("sentences", 3120),
        FunnelStage("candidates", 12480),
        FunnelStage(
            f"plain checks{text}", 5210, (Loss(f"too long{text}", 4120), Loss("a number is new", 3150))
        ),
        FunnelStage("information", 1630, (Loss("not faithful", 2480), Loss("not salient", 1100))),
        FunnelStage("pairs kept", 1204, (Loss("says the same", 426),)),
    )


def _rejections(text: str) -> tuple[Rejection, ...]:
    return (
        Rejection(
            reason=f"a number is new{text}",
            count=3150,
            samples=(Sample(source=LONG + text, target_text=f"40 ferries sail.{text}", note=f"40{text}"),),
        ),
        Rejection(reason="too long", count=4120),
    )


def _curves(text: str) -> tuple[Curve, ...]:
    return (
        Curve(
            title=f"Loss on the targets{text}",
            x_label=f"step{text}",
            y_label=f"nats a token{text}",
            series=(
                Series(f"training{text}", tuple((float(x), 3.2 * 0.97**x + 1.1) for x in range(120))),
                Series("validation", tuple((float(x), 3.2 * 0.972**x + 1.2) for x in range(0, 120, 10))),
            ),
        ),
    )
