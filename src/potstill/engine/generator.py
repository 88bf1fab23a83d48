"""Texts in, texts out: an engine and a tokenizer as the `Generator` that the rest of potstill asks."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from potstill.engine.engine import Engine
from potstill.engine.grammars import Grammars
from potstill.engine.lexical_params import LexicalParams
from potstill.engine.phrases import Phrases
from potstill.engine.request_feed import RequestFeed, encode_prompts
from potstill.errors import UsageError
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import Completion, TextRequest


class Piece(NamedTuple):
    """More of one of a request's texts; `completion` comes with its last piece."""

    request_index: int
    sample: int
    text: str
    completion: Completion | None = None


class EngineGenerator:
    """Implements `potstill.types.Generator`. A request's text depends on its prompt and seed alone.

    As far as the model's numbers do, that is: where torch runs it, as on a GPU, products of matrices round by
    the size of the batch, and a draw at the border of two tokens may fall otherwise.

    One call at a time, UsageError for a second: what is left unread of the first is given up when its
    iterator is closed.

    keeps_cache   whether prompts begin with what the last calls have cached of them; for a model that nobody
                  trains between calls
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        lexical: LexicalParams | None = None,
        *,
        keeps_cache: bool = False,
    ) -> None:
        self.engine, self.tokenizer, self.keeps_cache = engine, tokenizer, keeps_cache
        self._phrases = Phrases(tokenizer, lexical or LexicalParams())
        self._grammars = Grammars(tokenizer, engine.decoder)

    def complete(self, requests: Sequence[TextRequest]) -> Iterator[tuple[int, Completion]]:
        """Yield (index, completion) as texts end, `n` times for a request that asks for so many.

        UsageError, before any work, if one could never run. Where one finds no memory even alone the others
        are written all the same, and MemoryFull names it after the last of them.
        """
        return self._complete(self._checked(requests))

    def stream(self, requests: TextRequest | Sequence[TextRequest]) -> Iterator[Piece]:
        """Yield the texts in pieces as they are written; errors are those of `complete`.

        The pieces of a text, joined, are its completion's text: no half character, nothing of a stop text,
        and a first sentence only when it is whole. What a beam search finds comes in one piece, at its end.
        """
        return self._stream(self._checked([requests] if isinstance(requests, TextRequest) else requests))

    def _complete(self, requests: Sequence[TextRequest]) -> Iterator[tuple[int, Completion]]:
        feed = self._feed(requests)
        try:
            while (ended := feed.step()) is not None:
                for asked, completion in ended:
                    yield asked.request_index, completion
            feed.raise_failures()
        finally:
            feed.cancel()

    def _stream(self, requests: Sequence[TextRequest]) -> Iterator[Piece]:
        feed = self._feed(requests)
        try:
            while (ended := feed.step()) is not None:
                for asked in feed.being_written():
                    if text := asked.text.shown_next():
                        yield Piece(asked.request_index, asked.sample, text)
                for asked, completion in ended:
                    rest = asked.text.rest_of(completion.text)
                    yield Piece(asked.request_index, asked.sample, rest, completion)
            feed.raise_failures()
        finally:
            feed.cancel()

    def _feed(self, requests: Sequence[TextRequest]) -> RequestFeed:
        if self.engine.has_work:
            raise UsageError(
                f"The engine still writes {self.engine.num_running + self.engine.num_waiting:,} texts of an "
                f"earlier call. Read its iterator to the end, or close it, before the next."
            )
        if not self.keeps_cache:
            # The model may have been trained since the last call, and what it cached then would be stale.
            self.engine.forget_cache()
        return RequestFeed(self.engine, self.tokenizer, requests, self._grammars, self._phrases)

    def _checked(self, requests: Sequence[TextRequest]) -> Sequence[TextRequest]:
        if any(request.clauses for request in requests):
            requests = [self._phrases.searching(request) for request in requests]
        self._check_fit(requests)
        return requests

    def _check_fit(self, requests: Sequence[TextRequest]) -> None:
        """Tokenize beforehand only what may be too long: a text has hardly ever more tokens than bytes."""
        for index, request in enumerate(requests):
            try:
                self._phrases.check(request, self.engine.params)
                if request.grammar is not None:
                    self._grammars.constraint(request.grammar)
                most_tokens = len(request.prompt_ids) or 1 + len(request.prompt.encode())
                if most_tokens > 1 and self.engine.fits(most_tokens, request.sampling):
                    continue
                (prompt_ids,) = encode_prompts(self.engine, self.tokenizer, [request])
                self.engine.check_fits(len(prompt_ids), request.sampling)
            except UsageError as error:
                raise UsageError(f"Request {index}: {error}") from None
            except UnicodeEncodeError as error:
                raise UsageError(
                    f"Request {index}: character {error.start} of the prompt is no text, such as a byte "
                    f"that is not UTF-8. Remove it, or save its source as UTF-8."
                ) from None
