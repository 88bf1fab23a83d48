"""Stage `evaluation`: the student beside its teacher and beside no model, on the same unseen sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from potstill.evaluation.baselines import first_clause, first_words
from potstill.evaluation.comparison import Comparison, Judge, compare
from potstill.evaluation.examples import EvaluationExample, builtin_examples, draw, read_examples
from potstill.evaluation.settings import EvaluationSettings
from potstill.files import write_json
from potstill.progress import Task as ProgressTask
from potstill.records.read import read_records
from potstill.records.write import write_jsonl
from potstill.runs.stage import StageContext
from potstill.runs.stages.student import STUDENT
from potstill.runs.stages.verdicts import all_filters, read_minimums
from potstill.runs.stages.workshop import Workshop
from potstill.seeds import derive_seed
from potstill.synthesis.few_shot import shot_variants
from potstill.synthesis.filters import Filter, completeness_filter, independent_filters, passes_all
from potstill.synthesis.information import Completeness
from potstill.synthesis.settings import SynthesisSettings
from potstill.tasks.task import Task
from potstill.types import SamplingParams, TextPair, TextRequest

FILE, OUTPUTS = "evaluation.json", "outputs.jsonl"
PLAIN, FEW_SHOT, STUDENT_SYSTEM = "plain prompt", "few-shot prompt", "student"
CUT, CLAUSE = "cut at the student's length", "first clause"
ALL_CRITICS, INDEPENDENT = "pass_all_critics", "pass_independent_critics"
_CHUNK = 64


@dataclass(frozen=True)
class Evaluated:
    """What the stage works with: the teacher's workshop, the task, and the recipe's settings."""

    teacher: Workshop
    student: Workshop
    task: Task
    synthesis: SynthesisSettings
    evaluation: EvaluationSettings
    run_seed: int

    def examples(self) -> list[EvaluationExample]:
        given = self.evaluation.file
        found = builtin_examples() if given is None else read_examples(given)
        return draw(found, self.evaluation.num_examples, self.run_seed)


def evaluate(context: StageContext, work: Evaluated) -> None:
    examples = work.examples()
    outputs: dict[str, list[str]] = _written(context, work, examples)
    student = outputs[STUDENT_SYSTEM]
    outputs[CUT] = [
        first_words(example.source, len(text.split()))
        for example, text in zip(examples, student, strict=True)
    ]
    outputs[CLAUSE] = [first_clause(example.source) for example in examples]
    comparison = _compared(context, work, examples, outputs)
    write_json(context.folder / FILE, comparison.to_record())
    write_jsonl(context.folder / OUTPUTS, _records(examples, outputs))
    context.record("examples", before_and_after(examples, outputs))
    for system, figures in comparison.scores.items():
        for figure, score in figures.items():
            context.record(f"{figure} · {system}", score.interval.mean)


def before_and_after(
    examples: Sequence[EvaluationExample], outputs: Mapping[str, Sequence[str]], count: int = 6
) -> list[dict[str, str]]:
    return [
        {"source": example.source, "before": before, "after": after}
        for example, before, after in list(
            zip(examples, outputs[PLAIN], outputs[STUDENT_SYSTEM], strict=True)
        )[:count]
    ]


def _written(
    context: StageContext, work: Evaluated, examples: Sequence[EvaluationExample]
) -> dict[str, list[str]]:
    """The outputs of every model system, a chunk of sentences at a time."""
    starts = range(0, len(examples), _CHUNK)
    units = [(system, start) for system in (PLAIN, FEW_SHOT, STUDENT_SYSTEM) for start in starts]
    missing = context.chunks(len(units), ".jsonl")
    with context.progress.task("evaluation", len(units), "chunks", done=len(units) - len(missing)) as bar:
        for index, path in missing:
            system, start = units[index]
            workshop = work.student if system == STUDENT_SYSTEM else work.teacher
            requests = [_request(work, system, example) for example in examples[start : start + _CHUNK]]
            completions = dict(workshop.generator.complete(requests))
            texts = ({"text": completions[position].text.strip()} for position in range(len(requests)))
            write_jsonl(path, texts)
            context.record(f"tokens_per_second · {system}", workshop.generator.engine.stats.tokens_per_second)
            bar.advance()
    written: dict[str, list[str]] = {}
    for (system, _), path in zip(units, context.chunk_paths(len(units), ".jsonl"), strict=True):
        written.setdefault(system, []).extend(record["text"] for record in read_records(path))
    return written


def _request(work: Evaluated, system: str, example: EvaluationExample) -> TextRequest:
    settings = work.evaluation
    sampling = SamplingParams(
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
        stop=("\n",),
        seed=derive_seed(work.run_seed, "evaluation", example.id),
    )
    if system == PLAIN:
        return TextRequest(work.task.plain_prompt(example.source), sampling)
    if system == FEW_SHOT:
        # The same choices of examples that wrote the candidates, in turn.
        variants = shot_variants(work.task, work.synthesis, work.run_seed)
        shots = variants[sampling.seed % len(variants)]
        return TextRequest(work.task.few_shot_prompt(shots, example.source), sampling)
    return TextRequest(work.task.student_prompt(example.source), sampling)


def _compared(
    context: StageContext,
    work: Evaluated,
    examples: Sequence[EvaluationExample],
    outputs: Mapping[str, Sequence[str]],
) -> Comparison:
    selecting = all_filters(work.teacher, work.task, read_minimums(context.inputs["thresholds"]))
    completeness = completeness_filter(
        Completeness(work.teacher.new_information()), [example.source for example in examples]
    )
    independent = independent_filters(work.task.limits, completeness)
    by_name = {ALL_CRITICS: selecting, INDEPENDENT: independent}
    with context.progress.task("judging", len(by_name) * len(outputs), "judgements") as bar:
        judges = {name: _judge(filters, bar) for name, filters in by_name.items()}
        return compare(examples, outputs, judges, STUDENT_SYSTEM, work.evaluation, work.run_seed)


def _judge(filters: Sequence[Filter], bar: ProgressTask) -> Judge:
    def judge(pairs: Sequence[TextPair]) -> np.ndarray:
        passed = passes_all(pairs, filters)
        bar.advance()
        return passed

    return judge


def _records(
    examples: Sequence[EvaluationExample], outputs: Mapping[str, Sequence[str]]
) -> Iterator[dict[str, Any]]:
    for index, example in enumerate(examples):
        texts = {system: column[index] for system, column in outputs.items()}
        yield {
            "id": example.id,
            "input": example.source,
            "summaries": list(example.references),
            "outputs": texts,
        }


def student_path(context: StageContext) -> Path:
    return context.inputs["student"] / STUDENT
