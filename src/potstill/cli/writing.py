"""A model opened for writing: its generator, and the labels that go around a student's prompt."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from potstill.cli.output import print_json, printable
from potstill.progress import Progress
from potstill.runs.student import StudentCard, read_card
from potstill.types import Completion, SamplingParams, TextRequest

if TYPE_CHECKING:
    from potstill.engine.generator import EngineGenerator


@dataclass(frozen=True)
class Writer:
    """`card` is None for a model that is no student of ours."""

    name: str
    generator: "EngineGenerator"
    card: StudentCard | None
    sampling: SamplingParams

    def request(self, prompt: str) -> TextRequest:
        return TextRequest(self.card.prompt(prompt) if self.card else prompt, self.sampling)

    def shown(self, text: str) -> str:
        """A student's output is a text of its own; a plain model's goes on in the middle of a line."""
        return text.strip() if self.card else text


def use_machine(device: str | None, threads: int | None) -> str | None:
    """Hub and threads as the options or the user's settings say; returns the device they name."""
    from potstill.cli.configuration import apply_hub, load_configuration

    user = load_configuration().settings
    apply_hub(user.hub)
    from potstill.devices import use_threads

    use_threads(threads or user.device.threads)
    return device or user.device.name


def open_writer(
    name: str,
    *,
    device: str | None,
    changes: Mapping[str, Any],
    progress: Progress,
    revision: str | None = None,
) -> Writer:
    """The model called `name`; `changes` are sampling parameters that are not None and win over its own."""
    from potstill.engine.load import load_generator
    from potstill.hub.resolve import resolve

    model = resolve(name, revision=revision, progress=progress)
    card = read_card(model.path) if model.path.is_dir() else None
    sampling = replace(
        card.sampling if card else SamplingParams(),
        **{key: value for key, value in changes.items() if value is not None},
    )
    return Writer(name, load_generator(model.path, device=device), card, sampling)


def show_completions(writer: Writer, prompts: Sequence[str], *, as_json: bool) -> None:
    """All completions in the order of the prompts."""
    found: dict[int, Completion] = dict(
        writer.generator.complete([writer.request(prompt) for prompt in prompts])
    )
    if as_json:
        told = [
            {
                "prompt": prompt,
                "text": writer.shown(found[index].text),
                "finish_reason": found[index].finish_reason,
                "num_tokens": len(found[index].token_ids),
                "logprob": found[index].logprob,
            }
            for index, prompt in enumerate(prompts)
        ]
        print_json("potstill.generate/1", {"model": writer.name, "completions": told})
        return
    for index in range(len(prompts)):
        text = writer.shown(found[index].text)
        print(printable(text) if sys.stdout.isatty() else text)


def show_stream(writer: Writer, prompt: str) -> None:
    """Print the text as it is written."""
    for piece in _pieces(writer, writer.request(prompt)):
        sys.stdout.write(printable(piece))
        sys.stdout.flush()
    sys.stdout.write("\n")


def _pieces(writer: Writer, request: TextRequest) -> Iterator[str]:
    """The text in pieces. The end is held back while it may still be the beginning of a stop text."""
    from potstill.engine.stopping import WrittenText
    from potstill.tokenization.streaming import TextStream

    generator, params = writer.generator, request.sampling
    held = max((len(stop) for stop in params.stop), default=1) - 1
    written = WrittenText(params, TextStream(generator.tokenizer))
    sequence = generator.engine.add(generator.tokenizer.encode(request.prompt), params, written)
    done, is_over = 0, False
    while not is_over:
        is_over = sequence in generator.engine.step()
        text = written.cut(is_complete=is_over and sequence.finish_reason == "stop")
        text = writer.shown(text) if is_over else text.lstrip() if writer.card else text
        end = len(text) if is_over else len(text) - held
        if end > done:
            yield text[done:end]
            done = end
