"""Requests on their way through an engine: prompts go in a few at a time, texts come out by their names."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from potstill.constraints.protocol import Constraint
from potstill.engine.engine import Engine
from potstill.engine.grammars import Grammars
from potstill.engine.lexical_params import LexicalParams
from potstill.engine.phrases import Phrases
from potstill.engine.sequence import Sequence as RunningSequence
from potstill.engine.stopping import WrittenText
from potstill.errors import PotstillError, UsageError
from potstill.seeds import derive_seed
from potstill.tokenization.streaming import TextStream
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import Completion, SamplingParams, TextRequest

# Prompts are tokenized a few at a time, so that thousands of requests need no more memory than a hundred.
_ENCODED_AT_ONCE = 64


class Asked(NamedTuple):
    """One of the texts that a request asks for."""

    request_index: int
    sample: int
    text: WrittenText


class Ended(NamedTuple):
    asked: Asked
    completion: Completion


class RequestFeed:
    """What `requests` ask for, step by step. `failures` holds the texts that could not be written."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        requests: Sequence[TextRequest],
        grammars: Grammars | None = None,
        phrases: Phrases | None = None,
    ) -> None:
        self.failures: list[tuple[int, PotstillError]] = []
        self._grammars = grammars or Grammars(tokenizer, engine.decoder)
        self._phrases = phrases or Phrases(tokenizer, LexicalParams())
        self._engine, self._tokenizer, self._requests = engine, tokenizer, requests
        self._samples = self._all_samples()
        self._asked: dict[RunningSequence, Asked] = {}

    def step(self) -> list[Ended] | None:
        """Run a step of the engine: the texts that ended in it; None once there is nothing left to write."""
        self._refill()
        if not self._asked:
            return None
        ended: list[Ended] = []
        for sequence in self._engine.step():
            asked = self._asked.pop(sequence)
            try:
                ended += self._all_ended(sequence, asked)
            except PotstillError as error:
                self.failures.append((asked.request_index, error))
        return ended

    def being_written(self) -> Iterator[Asked]:
        """Texts that have begun, or wait for it, and have not ended."""
        yield from self._asked.values()

    def cancel(self) -> None:
        """Give up all that is not written to its end."""
        for sequence in self._asked:
            self._engine.cancel(sequence)
        self._asked.clear()
        if self._engine.has_work:
            # An interrupt came after the engine took a text and before it was noted here.
            self._engine.abort_all()

    def raise_failures(self) -> None:
        """Raise the first failure, which says how many requests it is about."""
        if not self.failures:
            return
        (index, error), count = self.failures[0], len({index for index, _ in self.failures})
        others = f" The same goes for {count - 1:,} more." if count > 1 else ""
        raise type(error)(f"Request {index}: {error}{others}") from error

    def _refill(self) -> None:
        """Keep a batch of prompts waiting, so that no row stays empty."""
        while self._engine.num_waiting < self._engine.params.max_batch:
            found = next(self._samples, None)
            if found is None:
                return
            self._add(*found)

    def _add(self, index: int, sample: int, prompt_ids: list[int]) -> None:
        request = self._requests[index]
        params = sample_params(request.sampling, sample)
        source = TextStream(self._tokenizer)
        text = WrittenText(params, source, goes_on=not self._engine.decoder.encodes_prompt)
        try:
            constraint = self._constraint(request)
        except PotstillError as error:
            # It could be used when it was looked at first; the others are written all the same.
            self.failures.append((index, error))
            return
        try:
            strategy = self._phrases.strategy(request.clauses, params, text, self._engine.eos_ids)
            sequence = self._engine.add(prompt_ids, params, text, constraint=constraint, strategy=strategy)
        except UsageError as error:
            raise UsageError(f"Request {index}: {error}") from None
        self._asked[sequence] = Asked(index, sample, text)

    def _constraint(self, request: TextRequest) -> Constraint | None:
        return None if request.grammar is None else self._grammars.constraint(request.grammar)

    def _all_ended(self, sequence: RunningSequence, asked: Asked) -> list[Ended]:
        """A text, or all that a beam search found; an error where it could not be written."""
        if sequence.error is not None:
            raise sequence.error
        clauses = self._requests[asked.request_index].clauses
        ended: list[Ended] = []
        for place, found in enumerate((sequence, *sequence.others)):
            assert isinstance(found.stop, WrittenText)
            one = Asked(asked.request_index, asked.sample + place, found.stop)
            completion = _completion(found, one)
            unmet = self._unmet(found, one, completion.text)
            unmet += self._phrases.unmet(clauses, completion.text)
            ended.append(Ended(one, completion._replace(unmet=unmet)))
        return ended

    def _unmet(self, sequence: RunningSequence, asked: Asked, text: str) -> tuple[str, ...]:
        """What of its grammar a finished text does not meet."""
        constraint, grammar = sequence.constraint, self._requests[asked.request_index].grammar
        if grammar is not None and text != asked.text.written:
            return self._grammars.unmet(grammar, text)
        if constraint is not None and sequence.sampling.num_beams > 1:
            # A search's rows stand at the texts that it followed, not at those that it found.
            constraint = self._constraint(self._requests[asked.request_index])
            assert constraint is not None
            for token_id in sequence.output_ids:
                constraint.take(token_id)
        return () if constraint is None else constraint.unmet()

    def _all_samples(self) -> Iterator[tuple[int, int, list[int]]]:
        """(request's index, sample, prompt) of every text asked for."""
        for start in range(0, len(self._requests), _ENCODED_AT_ONCE):
            some = self._requests[start : start + _ENCODED_AT_ONCE]
            for index, ids in enumerate(encode_prompts(self._engine, self._tokenizer, some), start):
                params = self._requests[index].sampling
                # A search is asked once and finds several texts.
                for sample in range(1 if params.num_beams > 1 else params.n):
                    yield index, sample, ids


def encode_prompts(engine: Engine, tokenizer: Tokenizer, requests: Sequence[TextRequest]) -> list[list[int]]:
    """What the model is asked; encoders are trained on texts that end with EOS."""
    end = list(tokenizer.eos_ids[:1]) if engine.decoder.encodes_prompt else []
    encoded = iter(tokenizer.encode_batch([one.prompt for one in requests if not one.prompt_ids]))
    return [list(one.prompt_ids) or next(encoded) + end for one in requests]


def sample_params(params: SamplingParams, sample: int) -> SamplingParams:
    """How the texts of one prompt are drawn: the first with the seed itself, each other with its own."""
    if params.num_beams > 1 or params.n == 1:
        return params
    seed = params.seed if sample == 0 else derive_seed(params.seed, "sample", sample)
    return replace(params, n=1, seed=seed)


def _completion(sequence: RunningSequence, asked: Asked) -> Completion:
    assert sequence.finish_reason is not None
    return Completion(
        text=asked.text.cut(is_complete=sequence.finish_reason == "stop"),
        token_ids=tuple(sequence.output_ids),
        finish_reason=sequence.finish_reason,
        logprob=sequence.logprob,
        logprobs=tuple(sequence.told),
        sample=asked.sample,
    )
