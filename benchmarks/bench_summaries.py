"""How good is the student of a run on published sentence summarisation sets, and better than what?

Systems: the student; the few-shot teacher it was made from; the first 75 characters; and both of these cut,
record by record, at the length of the student's own output, so that nobody wins by length. ROUGE is F1 with
stemming and the best of several references; DUC 2004 is also given as recall at 75 bytes, its own measure.
Intervals are 95% percentile bootstrap intervals over records, differences are paired. The sets are only read
here: nothing trains on them. Everything is greedy.

    python benchmarks/bench_summaries.py runs/NAME DATA --out benchmarks/results/summaries.json

DATA is a folder with gigaword.jsonl.gz, duc2004.jsonl.gz, google.jsonl.gz, newsroom.jsonl.gz.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provenance import provenance

from potstill.evaluation.baselines import first_characters
from potstill.evaluation.examples import EvaluationExample, read_examples
from potstill.hub.resolve import resolve
from potstill.metrics.bootstrap import Interval, mean_interval, paired_difference
from potstill.metrics.rouge import Rouge, rouge_f1, rouge_recall
from potstill.progress import Lines
from potstill.runs.recipe import Recipe, read_recipe
from potstill.runs.stages.workshop import Workshop
from potstill.synthesis.few_shot import shot_variants
from potstill.tasks.task import load_task
from potstill.types import SamplingParams, TextRequest

SETS = ("gigaword", "duc2004", "google", "newsroom")
SEED = 20240605


def main() -> None:
    arguments = parse(sys.argv[1:])
    recipe = read_recipe(arguments.run / "recipe.toml")
    task = load_task(recipe.task.name)
    results: dict[str, Any] = {"subject": "summaries", "run": recipe.run.name, "sets": {}}
    results |= provenance()
    examples = {name: read_examples(arguments.data / f"{name}.jsonl.gz") for name in SETS}
    student = write(arguments.run / "student", examples, task.student_prompt, recipe)
    shots = shot_variants(task, recipe.synthesis, recipe.run.seed)[0]
    teacher_path = resolve(recipe.model.teacher, progress=Lines()).path
    teacher = write(teacher_path, examples, lambda text: task.few_shot_prompt(shots, text), recipe)
    for name in SETS:
        results["sets"][name] = compare(examples[name], student[name], teacher[name])
        print_table(name, results["sets"][name])
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps({"out": str(arguments.out), "machine": results["machine"]}))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/summaries.json"))
    return parser.parse_args(arguments)


def write(
    path: Path, examples: dict[str, list[EvaluationExample]], prompt: Any, recipe: Recipe
) -> dict[str, list[str]]:
    """The greedy output for every example of every set."""
    workshop = Workshop(path, recipe.run.device, recipe.run.threads)
    sampling = SamplingParams(temperature=0, max_tokens=recipe.evaluation.max_tokens, stop=("\n",))
    outputs: dict[str, list[str]] = {}
    for name, items in examples.items():
        requests = [TextRequest(prompt(item.source), sampling) for item in items]
        found = {}
        with Lines().task(f"{path.name} on {name}", len(requests), "texts") as task:
            for index, completion in workshop.generator.complete(requests):
                found[index] = completion.text.strip()
                task.advance()
        outputs[name] = [found[index] for index in range(len(items))]
    workshop.close()
    return outputs


def compare(examples: list[EvaluationExample], student: list[str], teacher: list[str]) -> dict[str, Any]:
    sources = [example.source for example in examples]
    systems = {
        "student": student,
        "few-shot teacher": teacher,
        "first 75 characters": [first_characters(source, 75) for source in sources],
        "few-shot teacher, equal length": [
            first_characters(text, len(own)) for text, own in zip(teacher, student, strict=True)
        ],
        "first characters, equal length": [
            first_characters(source, len(own)) for source, own in zip(sources, student, strict=True)
        ],
    }
    table: dict[str, Any] = {"num_records": len(examples), "systems": {}}
    own = None
    for name, outputs in systems.items():
        columns = figures(examples, outputs)
        own = own or columns
        table["systems"][name] = {
            figure: {
                **as_record(mean_interval(values, SEED)),
                **(
                    {}
                    if own is columns
                    else {"student_minus_this": as_record(paired_difference(own[figure], values, SEED))}
                ),
            }
            for figure, values in columns.items()
        }
        table["systems"][name]["mean_characters"] = sum(map(len, outputs)) / len(outputs)
    table["samples"] = [
        {"input": source, "student": a, "few-shot teacher": b}
        for source, a, b in list(zip(sources, student, teacher, strict=True))[:10]
    ]
    return table


def figures(examples: list[EvaluationExample], outputs: list[str]) -> dict[str, list[float]]:
    f1 = [rouge_f1(example.references, text) for example, text in zip(examples, outputs, strict=True)]
    recall = [rouge_recall(example.references, text) for example, text in zip(examples, outputs, strict=True)]
    columns = {f"{name} f1": [100 * getattr(score, name) for score in f1] for name in Rouge._fields}
    columns |= {
        f"{name} recall at 75 bytes": [100 * getattr(score, name) for score in recall]
        for name in Rouge._fields
    }
    return columns


def as_record(interval: Interval) -> dict[str, float]:
    record = {"mean": interval.mean, "low": interval.low, "high": interval.high}
    return record if interval.p is None else {**record, "p": interval.p}


def print_table(name: str, table: dict[str, Any]) -> None:
    print(f"\n{name}, {table['num_records']} records")
    for system, row in table["systems"].items():
        cells = [
            f"{row[f'{key} f1']['mean']:5.1f} ({row[f'{key} f1']['low']:.1f}–{row[f'{key} f1']['high']:.1f})"
            for key in Rouge._fields
        ]
        gap = row["rouge_l f1"].get("student_minus_this")
        told = (
            ""
            if gap is None
            else f"  student − this, R-L: {gap['mean']:+.1f} ({gap['low']:+.1f} to {gap['high']:+.1f})"
        )
        print(f"  {system:32} R-1/2/L {' / '.join(cells)}  {row['mean_characters']:4.0f} chars{told}")


if __name__ == "__main__":
    main()
