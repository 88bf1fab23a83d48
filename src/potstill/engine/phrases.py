"""The clauses of phrases that requests name: who searches for texts that hold them."""

from collections import OrderedDict
from dataclasses import replace
from functools import cached_property

from potstill.constraints.lexical import LexicalRules
from potstill.engine.admission import why_no_step
from potstill.engine.beam import BeamParams
from potstill.engine.lexical_params import LexicalParams
from potstill.engine.lexical_search import LexicalSearch
from potstill.engine.params import EngineParams
from potstill.engine.stopping import WrittenText
from potstill.errors import UsageError
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import Clauses, SamplingParams, TextRequest

_MOST_KEPT = 64


class WordTokenizer:
    """Tokens of text in the middle of other text, spaces before it included.

    Some vocabularies, as T5's, drop the spaces of a text and put one before every word.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self._plain = tokenizer, tokenizer.without_prefix()

    def encode(self, text: str) -> list[int]:
        ids = self._plain.encode(text)
        if text.startswith(" ") and b"".join(map(self.token_bytes, ids)) != text.encode():
            return self._tokenizer.encode(text[1:])
        return ids

    def token_bytes(self, token_id: int) -> bytes:
        return self._tokenizer.token_bytes(token_id)


class Phrases:
    """Makes searches for one tokenizer; what was worked out for the clauses used last is kept."""

    def __init__(self, tokenizer: Tokenizer, params: LexicalParams) -> None:
        self._tokenizer, self._params = tokenizer, params
        self._rules: OrderedDict[Clauses, LexicalRules] = OrderedDict()

    def searching(self, request: TextRequest) -> TextRequest:
        """The request as a search, which clauses need: as wide as it asks, or else as the settings say."""
        if not request.clauses or request.sampling.num_beams > 1:
            return request
        num_beams = max(self._params.num_beams, request.sampling.n)
        return request._replace(sampling=replace(request.sampling, num_beams=num_beams))

    def check(self, request: TextRequest, engine: EngineParams) -> None:
        """UsageError where no text, or none of `max_tokens`, can hold the clauses, if that shows at once, and
        where the engine has no room for the search."""
        if not request.clauses:
            return
        self._rules_of(request.clauses).check_length(request.sampling.max_tokens)
        if reason := why_no_step(engine, request.sampling.num_beams, self._params.most_guessed):
            raise UsageError(reason)

    def strategy(
        self, clauses: Clauses, params: SamplingParams, stop: WrittenText, eos_ids: frozenset[int]
    ) -> LexicalSearch | None:
        """The search for one prompt; None without clauses."""
        if not clauses:
            return None
        beams, rules = BeamParams.of(params, eos_ids), self._rules_of(clauses)
        return LexicalSearch(beams, rules, self._params, stop, params.n)

    def unmet(self, clauses: Clauses, text: str) -> tuple[str, ...]:
        """What a finished text does not meet, each in a sentence."""
        return self._rules_of(clauses).unmet(text) if clauses else ()

    @cached_property
    def _words(self) -> "WordTokenizer":
        return WordTokenizer(self._tokenizer)

    def _rules_of(self, clauses: Clauses) -> LexicalRules:
        if clauses not in self._rules:
            self._rules[clauses] = LexicalRules(clauses, self._words)
        self._rules.move_to_end(clauses)
        if len(self._rules) > _MOST_KEPT:
            self._rules.popitem(last=False)
        return self._rules[clauses]
