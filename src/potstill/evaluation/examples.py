"""What systems are compared on: the built-in held-out sentences, or a file of the user's own."""

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from potstill.errors import ConfigError, MissingError
from potstill.records.read import Record, place_of, read_numbered
from potstill.seeds import random_generator


@dataclass(frozen=True, slots=True)
class EvaluationExample:
    """`references` is empty where nobody wrote any."""

    id: str
    source: str
    references: tuple[str, ...] = ()


def builtin_examples() -> list[EvaluationExample]:
    """Sentences of the project's own making that no run trains on."""
    with as_file(files("potstill.evaluation") / "heldout" / "shorten.jsonl") as path:
        return read_examples(path)


def read_examples(path: Path) -> list[EvaluationExample]:
    """JSONL with `input` and, where there are any, `summaries` (a text or a list) and `id`."""
    examples = [_example(record, path) for record in read_numbered(path)]
    if not examples:
        raise MissingError(f"{path} holds no records to evaluate on.")
    return examples


def draw(examples: list[EvaluationExample], count: int | None, seed: int) -> list[EvaluationExample]:
    """At most `count`, in their order in the file."""
    if count is None or count >= len(examples):
        return examples
    chosen = random_generator(seed, "evaluation").permutation(len(examples))[:count]
    return [examples[index] for index in sorted(chosen)]


def _example(record: Record, path: Path) -> EvaluationExample:
    source, summaries = record.values.get("input"), record.values.get("summaries", ())
    references = (summaries,) if isinstance(summaries, str) else summaries
    if not isinstance(source, str) or not source.strip():
        raise ConfigError(f"{place_of(path, record)}: `input` must be a text that is not empty.")
    if not isinstance(references, list | tuple) or not all(isinstance(text, str) for text in references):
        raise ConfigError(f"{place_of(path, record)}: `summaries` must be a text or a list of texts.")
    return EvaluationExample(str(record.values.get("id", record.position)), source.strip(), tuple(references))
