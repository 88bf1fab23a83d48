"""Tasks that write: text-generation, text2text-generation, summarization and translation."""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from potstill.engine.stripped import stripped_pieces
from potstill.errors import UsageError
from potstill.pipelines.arguments import check_names, flag, whole_number
from potstill.pipelines.drawing import SAMPLING_ARGUMENTS, sampling_of
from potstill.pipelines.held import Held
from potstill.pipelines.input_limit import InputLimit, input_limit
from potstill.pipelines.job import checked_text, one_input
from potstill.pipelines.prompts import PROMPT_ARGUMENTS, PromptForm, prompt_form
from potstill.pipelines.steering import STEERING_ARGUMENTS, Steering, Unmet, steering_of
from potstill.pipelines.task_name import TaskName
from potstill.pipelines.writer import Writer
from potstill.progress import Task
from potstill.types import Completion, SamplingParams, TextRequest

_KEYS = {"summarization": "summary_text", "translation": "translation_text"}
_INPUTS = ("inputs", "text_inputs")


class WritingJob:
    def __init__(self, task: TaskName, held: Held[Writer]) -> None:
        if task.kind == "text-generation" and held.model.encodes_prompt:
            raise UsageError(
                "text-generation goes on from a text, and this model answers one. Take text2text-generation."
            )
        self._task, self._held = task, held

    def inputs(self, positional: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        return one_input(self._task.asked, _INPUTS, positional, named)

    def call(self, arguments: Mapping[str, Any], named: Collection[str] = ()) -> "WritingCall":
        check_names(self._task.asked, arguments, self._known)
        form = prompt_form(self._task, self._held.model, arguments)
        goes_on = self._task.kind == "text-generation"
        sampling = sampling_of(arguments, form.sampling)
        if sampling.num_beams > (most := self._held.model.generator.engine.params.most_rows):
            raise UsageError(
                f"num_beams is {sampling.num_beams}; {most:,} texts are written together. Lower it, or raise "
                f"batch_size where the pipeline is made."
            )
        return WritingCall(
            task=self._task,
            held=self._held,
            form=form,
            sampling=sampling,
            steering=steering_of(arguments),
            limit=input_limit(arguments, keeps="last" if goes_on else "first"),
            length=_length(arguments),
            returns_prompt=goes_on and flag("return_full_text", arguments.get("return_full_text", True)),
        )

    @property
    def _known(self) -> set[str]:
        known = {
            *SAMPLING_ARGUMENTS,
            *PROMPT_ARGUMENTS,
            *STEERING_ARGUMENTS,
            "max_length",
            "max_input_tokens",
        }
        if self._task.kind == "text-generation":
            known.add("return_full_text")
        if self._task.kind == "translation":
            known |= {"src_lang", "tgt_lang"}
        return known


@dataclass(frozen=True)
class Length:
    """is_exact      whether the caller said how many tokens, else there are no more than fit
    whole_tokens  of the prompt and the text together, or of what an encoder-decoder writes with its start
    """

    is_exact: bool = False
    whole_tokens: int | None = None


@dataclass(frozen=True)
class WritingCall:
    task: TaskName
    held: Held[Writer]
    form: PromptForm
    sampling: SamplingParams
    steering: Steering
    limit: InputLimit
    length: Length
    returns_prompt: bool

    def check(self, inputs: object) -> str:
        return checked_text(self.task.asked, inputs)

    def answers(self, inputs: Sequence[str], task: Task) -> list[list[dict[str, Any]]]:
        """For each text those written, each as {"generated_text": ...} or what the task calls it.

        One that does not meet a grammar or a phrase it was asked for says so under "unmet".
        """
        writer = self.held.model
        found: list[list[Completion]] = [[] for _ in inputs]
        for index, completion in writer.generator.complete(self._requests(writer, inputs)):
            found[index].append(completion)
            task.advance(1 / self.sampling.n)
        return [self._answer(text, written) for text, written in zip(inputs, found, strict=True)]

    def alone(self, inputs: object, answer: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return answer

    def together(self, answers: list[list[dict[str, Any]]]) -> list[Any]:
        """Lists of lists for texts that go on; flat for texts that answer, where each has one answer."""
        is_flat = self.task.kind != "text-generation" and self.sampling.n == 1
        return [one for answer in answers for one in answer] if is_flat else answers

    def stream(self, inputs: str) -> Iterator[str]:
        if self.sampling.n > 1:
            raise UsageError("stream=True shows one text as it is written. Drop num_return_sequences.")
        pieces = self._pieces(self.held.model, inputs)
        return (piece for piece in (stripped_pieces(pieces) if self._strips else pieces) if piece)

    def _pieces(self, writer: Writer, text: str) -> Iterator[str]:
        """Warns with `Unmet` at the end of a text that does not meet what it was asked for."""
        for piece in writer.generator.stream(self._requests(writer, [text])):
            yield piece.text
            if piece.completion and piece.completion.unmet:
                warnings.warn(" ".join(piece.completion.unmet), Unmet, stacklevel=2)

    def _requests(self, writer: Writer, texts: Sequence[str]) -> list[TextRequest]:
        prompts = [self.form.prompt(text) for text in self.limit.cut(texts, writer.tokenizer)]
        goes_on = not writer.encodes_prompt
        return [
            self.steering.request(prompt, self._sampling_of(writer, prompt), goes_on=goes_on)
            for prompt in prompts
        ]

    def _sampling_of(self, writer: Writer, prompt: str) -> SamplingParams:
        if self.length.is_exact:
            return self.sampling
        decoder = writer.generator.engine.decoder
        num_before = decoder.num_prepended
        if not decoder.encodes_prompt:
            num_before += writer.num_prompt_tokens(prompt)
        if self.length.whole_tokens is not None:
            return replace(self.sampling, max_tokens=_rest(self.length.whole_tokens, num_before))
        # The last token drawn is not fed back.
        room = decoder.max_positions - num_before + 1
        return replace(self.sampling, max_tokens=max(1, min(self.sampling.max_tokens, room)))

    def _answer(self, text: str, written: list[Completion]) -> list[dict[str, Any]]:
        key = _KEYS.get(self.task.kind, "generated_text")
        in_order = sorted(written, key=lambda completion: completion.sample)
        told: list[dict[str, Any]] = [{key: self._shown(text, one.text)} for one in in_order]
        for answer, completion in zip(told, in_order, strict=True):
            if completion.unmet:
                answer["unmet"] = list(completion.unmet)
        return told

    def _shown(self, text: str, written: str) -> str:
        if self._strips:
            return written.strip()
        return text + written if self.returns_prompt else written

    @property
    def _strips(self) -> bool:
        """An answer is a text of its own; what goes on does so in the middle of a line, and what a grammar
        wants is all of it."""
        grammar = self.steering.grammar
        return self.task.kind != "text-generation" and (grammar is None or grammar.kind == "choices")


def _length(arguments: Mapping[str, Any]) -> Length:
    new, whole = arguments.get("max_new_tokens"), arguments.get("max_length")
    if new is not None and whole is not None:
        raise UsageError("max_new_tokens and max_length both say how long a text may be. Drop max_length.")
    if whole is not None:
        return Length(whole_tokens=whole_number("max_length", whole, least=2))
    return Length(is_exact=new is not None)


def _rest(whole_tokens: int, num_before: int) -> int:
    if whole_tokens <= num_before:
        raise UsageError(
            f"max_length is {whole_tokens:,} and counts the prompt, which has {num_before:,} tokens. "
            f"Raise it, or give max_new_tokens instead."
        )
    return whole_tokens - num_before
