"""Stages `thresholds` and `verdicts`: learn what the information critics ask for, then judge candidates."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError
from potstill.files import read_json, write_json
from potstill.records.read import read_records
from potstill.records.write import write_jsonl
from potstill.runs.stage import StageContext
from potstill.runs.stages.candidates import candidate_chunks, read_candidates
from potstill.runs.stages.workshop import Workshop
from potstill.seeds import random_generator
from potstill.synthesis.calibration import Threshold, learn_threshold
from potstill.synthesis.dataset import KEPT, UNFINISHED, row
from potstill.synthesis.filters import Filter, judge, plain_filters
from potstill.synthesis.information import Brevity, Equivalence, Faithfulness, Information, Saliency
from potstill.synthesis.pair import Candidate
from potstill.synthesis.settings import SynthesisSettings
from potstill.tasks.task import Task
from potstill.types import Critic, TextPair

FILE = "thresholds.json"
_MIN_CALIBRATION = 8


def learn(context: StageContext, workshop: Workshop, task: Task, settings: SynthesisSettings) -> None:
    """Write the minimum of each information critic, learnt on candidates that pass every plain filter."""
    given = {
        "faithfulness": settings.min_faithfulness,
        "saliency": settings.min_saliency,
        "equivalence": settings.min_equivalence,
    }
    unknown = [name for name, minimum in given.items() if minimum is None]
    learnt: dict[str, Threshold] = {}
    if unknown:
        pairs = _calibration_pairs(context, workshop, task, settings)
        with context.progress.task("thresholds", len(unknown), "critics") as bar:
            information = workshop.new_information()
            for name in unknown:
                rng = random_generator(context.seed, "shuffle")
                learnt[name] = learn_threshold(_critic(name, information), pairs, settings.quantile, rng)
                bar.advance()
    minimums = {name: learnt[name].minimum if name in learnt else given[name] for name in given}
    record: dict[str, Any] = {
        "minimums": minimums,
        "learnt": {name: threshold.to_record() for name, threshold in learnt.items()},
    }
    write_json(context.folder / FILE, record)
    context.record("thresholds", record)


def judge_candidates(
    context: StageContext, workshop: Workshop, task: Task, last: Callable[[], Filter] | None = None
) -> None:
    """A row for each candidate, in chunks like those of the candidates, with every score it was given.

    `last` gives a filter that sees what the others let through.
    """
    minimums = read_minimums(context.inputs["thresholds"])
    sources = candidate_chunks(context.inputs["candidates"])
    missing = context.chunks(len(sources), ".jsonl")
    added = [last()] if missing and last is not None else []
    with context.progress.task("verdicts", len(sources), "chunks", done=len(sources) - len(missing)) as bar:
        for index, path in missing:
            candidates = [Candidate.from_record(record) for record in read_records(sources[index])]
            filters = [*all_filters(workshop, task, minimums), *added]
            write_jsonl(path, _rows(candidates, filters))
            bar.advance()


def all_filters(workshop: Workshop, task: Task, minimums: dict[str, float]) -> list[Filter]:
    """The plain filters, then the dear ones; what says the same in both ways is asked of two-way tasks."""
    information = workshop.new_information()
    asked = [
        Filter(Brevity(information), "too many tokens", maximum=2 * task.limits.max_length_ratio),
        Filter(Faithfulness(information), "not said by the source", minimum=minimums["faithfulness"]),
        Filter(Saliency(information), "misses the point", minimum=minimums["saliency"]),
    ]
    if task.entails == "two_way":
        asked.append(Filter(Equivalence(information), "says something else", minimum=minimums["equivalence"]))
    return [*plain_filters(task.limits, workshop.is_rare), *asked]


def read_minimums(folder: Path) -> dict[str, float]:
    minimums: dict[str, float] = read_json(folder / FILE)["minimums"]
    return minimums


def read_rows(folder: Path) -> list[dict[str, Any]]:
    return [record for path in candidate_chunks(folder) for record in read_records(path)]


def _rows(candidates: Sequence[Candidate], filters: Sequence[Filter]) -> list[dict[str, Any]]:
    ended = [candidate for candidate in candidates if candidate.is_finished]
    verdicts = judge([candidate.pair for candidate in ended], filters)
    rows = {
        candidate.id: row(
            candidate,
            {name: column[index] for name, column in verdicts.scores.items()},
            verdicts.reasons[index] or KEPT,
        )
        for index, candidate in enumerate(ended)
    }
    return [rows.get(candidate.id) or row(candidate, {}, UNFINISHED) for candidate in candidates]


def _calibration_pairs(
    context: StageContext, workshop: Workshop, task: Task, settings: SynthesisSettings
) -> list[TextPair]:
    candidates = [
        candidate for candidate in read_candidates(context.inputs["candidates"]) if candidate.is_finished
    ]
    verdicts = judge([item.pair for item in candidates], plain_filters(task.limits, workshop.is_rare))
    passed = [candidates[index].pair for index in verdicts.kept]
    if len({pair.source for pair in passed}) < _MIN_CALIBRATION:
        raise PotstillError(
            f"Only {len(passed)} of {len(candidates):,} candidates pass the plain filters, too few to learn "
            f"thresholds from. Raise [synthesis] num_sources or samples, or set min_faithfulness, "
            f"min_saliency and min_equivalence yourself."
        )
    order = random_generator(context.seed, "calibration").permutation(len(passed))
    return [passed[index] for index in order[: settings.calibration_pairs]]


def _critic(name: str, information: Information) -> Critic:
    kinds: dict[str, Callable[[Information], Critic]] = {
        "faithfulness": Faithfulness,
        "saliency": Saliency,
        "equivalence": Equivalence,
    }
    return kinds[name](information)
