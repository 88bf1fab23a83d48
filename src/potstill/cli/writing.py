"""A model opened for writing: its generator, and the labels that go around a student's prompt."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from potstill.cli.output import print_json, printable, say
from potstill.errors import UsageError
from potstill.progress import Progress
from potstill.tasks.student import StudentCard, read_card
from potstill.types import Clauses, Completion, Grammar, SamplingParams, TextRequest

if TYPE_CHECKING:
    from potstill.engine.generator import EngineGenerator
    from potstill.types import DtypeName


@dataclass(frozen=True)
class Writer:
    """`card` is None for a model that is no student of ours."""

    name: str
    generator: "EngineGenerator"
    card: StudentCard | None
    sampling: SamplingParams
    grammar: Grammar | None = None
    clauses: Clauses = ()

    def request(self, prompt: str) -> TextRequest:
        asked = self.card.prompt(prompt) if self.card else prompt
        return TextRequest(asked, self.sampling, grammar=self.grammar, clauses=self.clauses)

    @property
    def strips(self) -> bool:
        """A student's output is a text of its own; a plain model's goes on in the middle of a line, and a
        grammar's is what the grammar says."""
        return self.card is not None and self.grammar is None

    def shown(self, text: str) -> str:
        return text.strip() if self.strips else text


def use_machine(device: str | None, threads: int | None) -> str | None:
    """Hub, compile cache and threads as options or the user's settings say; returns the device they name."""
    from potstill.cli.configuration import apply_compile, apply_hub, load_configuration

    user = load_configuration().settings
    apply_hub(user.hub)
    apply_compile(user.compile)
    from potstill.devices import use_threads

    use_threads(threads or user.device.threads)
    return device or user.device.name


def open_writer(
    name: str,
    *,
    device: str | None,
    dtype: str | None = None,
    changes: Mapping[str, Any],
    progress: Progress,
    revision: str | None = None,
    draft: str | None = None,
    index: Path | None = None,
) -> Writer:
    """The model called `name`; `changes` are sampling parameters that are not None and win over its own.

    A `draft` that may read an `index` makes it write faster.
    """
    from potstill.engine.load import load_generator
    from potstill.engine.params import EngineParams
    from potstill.hub.resolve import resolve

    given = {key: value for key, value in changes.items() if value is not None}
    # What is wrong in the command is told before a model is fetched for it.
    kind, _ = dtype_name(dtype), SamplingParams(**given)
    _check_draft(draft, index)
    model = resolve(name, revision=revision, progress=progress)
    card = read_card(model.path) if model.path.is_dir() else None
    sampling = replace(card.sampling if card else SamplingParams(), **given)
    params = EngineParams(max_batch=max(EngineParams().max_batch, sampling.num_beams))
    generator = load_generator(
        model.path, dtype=kind, device=device, params=params, draft=draft, index=index, progress=progress
    )
    return Writer(name, generator, card, sampling)


def _check_draft(draft: str | None, index: Path | None) -> None:
    from potstill.engine.drafts.load import check_kind

    if draft is not None:
        check_kind(draft, has_index=index is not None)
    elif index is not None:
        raise UsageError("--index is read by a draft. Add --draft infinigram, or leave it out.")


def show_completions(writer: Writer, prompts: Sequence[str], *, as_json: bool) -> bool:
    """All completions in the order of the prompts; whether each met what was asked of it."""
    requests = [writer.request(prompt) for prompt in prompts]
    found = sorted(writer.generator.complete(requests), key=lambda one: (one[0], one[1].sample))
    if as_json:
        told = [_told(writer, prompts[index], completion) for index, completion in found]
        print_json("potstill.generate/1", {"model": writer.name, "completions": told})
    else:
        for _, completion in found:
            text = writer.shown(completion.text)
            print(printable(text) if sys.stdout.isatty() else text)
    for index, completion in found:
        _say_unmet(completion, f"Text {completion.sample + 1} of prompt {index + 1}")
    return not any(completion.unmet for _, completion in found)


def show_stream(writer: Writer, prompt: str) -> bool:
    """Print the text as it is written; whether it met what was asked of it."""
    from potstill.engine.stripped import stripped_pieces

    completions: list[Completion] = []

    def pieces() -> Iterator[str]:
        for piece in writer.generator.stream(writer.request(prompt)):
            completions.extend([piece.completion] if piece.completion else [])
            yield piece.text

    for text in stripped_pieces(pieces()) if writer.strips else pieces():
        sys.stdout.write(printable(text))
        sys.stdout.flush()
    sys.stdout.write("\n")
    for completion in completions:
        _say_unmet(completion, "The text")
    return not any(completion.unmet for completion in completions)


def dtype_name(name: str | None) -> "DtypeName":
    """The type of the weights that `--dtype` names; UsageError for another."""
    from potstill.types import DtypeName

    known: tuple[DtypeName, ...] = get_args(DtypeName)
    for kind in known:
        if kind == ("auto" if name is None else name):
            return kind
    raise UsageError(f"--dtype is {name!r}; it must be one of {', '.join(known)}.")


def _told(writer: Writer, prompt: str, completion: Completion) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "sample": completion.sample,
        "text": writer.shown(completion.text),
        "finish_reason": completion.finish_reason,
        "num_tokens": len(completion.token_ids),
        "logprob": completion.logprob,
        "unmet": list(completion.unmet),
    }


def _say_unmet(completion: Completion, name: str) -> None:
    for sentence in completion.unmet:
        say(f"potstill: {name} does not meet what was asked. {sentence}")
