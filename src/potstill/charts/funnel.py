"""How many candidates each stage let through, and why it turned the others away."""

from collections.abc import Sequence
from dataclasses import dataclass

from potstill.charts.canvas import WIDTH, Canvas, format_number, format_share

_LABEL_WIDTH = 200
_BAR_X = 212
_BAR_WIDTH = 370
_INDENT = 16
_STAGE_HEIGHT = 34
_LOSS_HEIGHT = 20


@dataclass(frozen=True, slots=True)
class Loss:
    """`count` candidates that a stage turned away for `reason`."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class FunnelStage:
    """`count` candidates that stood after the stage, and what it lost on the way there."""

    name: str
    count: int
    losses: tuple[Loss, ...] = ()


def funnel(stages: Sequence[FunnelStage], title: str) -> str:
    """An SVG with a bar for each stage and a thin one for each reason, all on one scale.

    Percentages are of the first stage. Reasons stand above the stage they led to, the most frequent first.
    """
    canvas = Canvas()
    counts = [stage.count for stage in stages] + [loss.count for stage in stages for loss in stage.losses]
    largest = max(counts, default=0)
    first = stages[0].count if stages else 0
    y = 8.0
    for index, stage in enumerate(stages):
        entered = stages[index - 1].count if index else stage.count
        for loss in sorted(stage.losses, key=lambda loss: (-loss.count, loss.reason)):
            _draw_loss(canvas, y, loss, stage, entered, first, largest)
            y += _LOSS_HEIGHT
        y += 4 if stage.losses else 0
        _draw_stage(canvas, y, stage, first, largest)
        y += _STAGE_HEIGHT
    if not stages:
        canvas.text(0, y + 16, "No stage has run yet.", "soft")
        y += _STAGE_HEIGHT
    return canvas.svg(y, title, _description(stages))


def _draw_stage(canvas: Canvas, y: float, stage: FunnelStage, first: int, largest: int) -> None:
    share = format_share(stage.count, first)
    canvas.text(0, y + 17, stage.name, "strong", room=_LABEL_WIDTH)
    canvas.bar(_BAR_X, y + 2, _BAR_WIDTH, 22, "track")
    width = _BAR_WIDTH * stage.count / max(largest, 1)
    canvas.bar(_BAR_X, y + 2, width, 22, "fill-0", f"{stage.name}: {stage.count:,} ({share})")
    canvas.text(WIDTH - 58, y + 17, format_number(stage.count), "strong number end")
    canvas.text(WIDTH, y + 17, share, "soft number end")


def _draw_loss(
    canvas: Canvas, y: float, loss: Loss, stage: FunnelStage, entered: int, first: int, largest: int
) -> None:
    canvas.text(_INDENT, y + 13, loss.reason, "soft", room=_LABEL_WIDTH - _INDENT)
    lost = f"{loss.count:,} of {entered:,} ({format_share(loss.count, entered)}) lost"
    told = f"{stage.name}, {loss.reason}: {lost}"
    canvas.bar(_BAR_X, y + 5, _BAR_WIDTH * loss.count / max(largest, 1), 9, "loss", told)
    canvas.text(WIDTH - 58, y + 13, f"−{format_number(loss.count)}", "soft number end")
    canvas.text(WIDTH, y + 13, f"−{format_share(loss.count, first)}", "soft number end")


def _description(stages: Sequence[FunnelStage]) -> str:
    parts = []
    for stage in stages:
        losses = ", ".join(f"{loss.count:,} {loss.reason}" for loss in stage.losses)
        parts.append(f"{stage.name}: {stage.count:,}{f' (lost: {losses})' if losses else ''}")
    return "; ".join(parts) + "." if parts else "No stage has run yet."
