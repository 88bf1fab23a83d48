"""Texts in, texts out: an engine and a tokenizer as the `Generator` that the rest of potstill asks."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from potstill.engine.engine import Engine
from potstill.engine.sequence import Sequence as RunningSequence
from potstill.engine.stopping import WrittenText
from potstill.errors import UsageError
from potstill.tokenization.streaming import TextStream
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import Completion, TextRequest

# Prompts are tokenized a few at a time, so that thousands of requests need no more memory than a hundred.
_ENCODED_AT_ONCE = 64


class EngineGenerator:
    """Implements `potstill.types.Generator`. A request's text depends on its prompt and seed alone.

    As far as the model's numbers do, that is: in float32 and on a GPU, products of matrices round by the size
    of the batch, and a draw at the border of two tokens may fall otherwise.
    """

    def __init__(self, engine: Engine, tokenizer: Tokenizer) -> None:
        self.engine, self.tokenizer = engine, tokenizer

    def complete(self, requests: Sequence[TextRequest]) -> Iterator[tuple[int, Completion]]:
        """Yield (index, completion) as texts end. UsageError, before any work, if one could never run.

        One call at a time: what is left unread of an earlier one is given up when its iterator is closed.
        """
        self._check_fit(requests)
        return self._complete(requests)

    def _complete(self, requests: Sequence[TextRequest]) -> Iterator[tuple[int, Completion]]:
        assert not self.engine.has_work, "the engine still writes for an earlier call"
        # The model may have been trained since the last call, and what it cached then would be stale.
        self.engine.forget_cache()
        prompts = self._encoded(requests)
        asked: dict[int, _Asked] = {}
        try:
            while self._refill(prompts, requests, asked) or self.engine.has_work:
                for sequence in self.engine.step():
                    index, text = asked.pop(sequence.sequence_id)
                    yield index, _completion(sequence, text)
        finally:
            if asked:
                self.engine.abort_all()

    def _refill(
        self, prompts: Iterator["_Prompt"], requests: Sequence[TextRequest], asked: "dict[int, _Asked]"
    ) -> bool:
        """Keep a batch of prompts waiting, so that no row stays empty; whether any was added."""
        num_before = len(asked)
        num_wanted = self.engine.params.max_batch - self.engine.num_waiting
        for index, prompt_ids in islice(prompts, num_wanted):
            params = requests[index].sampling
            text = WrittenText(params, TextStream(self.tokenizer))
            sequence = self.engine.add(prompt_ids, params, text)
            asked[sequence.sequence_id] = _Asked(index, text)
        return len(asked) > num_before

    def _encoded(self, requests: Sequence[TextRequest]) -> Iterator["_Prompt"]:
        for start in range(0, len(requests), _ENCODED_AT_ONCE):
            prompts = [request.prompt for request in requests[start : start + _ENCODED_AT_ONCE]]
            for offset, prompt_ids in enumerate(self._prompt_ids(prompts)):
                yield _Prompt(start + offset, prompt_ids)

    def _prompt_ids(self, prompts: Sequence[str]) -> list[list[int]]:
        """What the model is asked; encoders are trained on texts that end with EOS."""
        end = list(self.tokenizer.eos_ids[:1]) if self.engine.decoder.encodes_prompt else []
        return [ids + end for ids in self.tokenizer.encode_batch(prompts)]

    def _check_fit(self, requests: Sequence[TextRequest]) -> None:
        """Tokenize beforehand only what may be too long: a text has hardly ever more tokens than bytes."""
        for index, request in enumerate(requests):
            try:
                if request.prompt and self.engine.fits(1 + len(request.prompt.encode()), request.sampling):
                    continue
                self.engine.check_fits(len(self._prompt_ids([request.prompt])[0]), request.sampling)
            except UsageError as error:
                raise UsageError(f"Request {index}: {error}") from None
            except UnicodeEncodeError as error:
                raise UsageError(
                    f"Request {index}: character {error.start} of the prompt is no text, such as a byte "
                    f"that is not UTF-8. Remove it, or save its source as UTF-8."
                ) from None


class _Asked(NamedTuple):
    request_index: int
    text: WrittenText


class _Prompt(NamedTuple):
    request_index: int
    token_ids: list[int]


def _completion(sequence: RunningSequence, text: WrittenText) -> Completion:
    assert sequence.finish_reason is not None
    return Completion(
        text=text.cut(is_complete=sequence.finish_reason == "stop"),
        token_ids=tuple(sequence.output_ids),
        finish_reason=sequence.finish_reason,
        logprob=sequence.logprob,
    )
