"""From a request's grammar to a constraint: tried apart, made ready once, handed out fresh each time."""

from collections import OrderedDict
from functools import cached_property
from threading import Lock

from llguidance import LLMatcher

from potstill.constraints.grammar import GrammarConstraint
from potstill.constraints.limits import parser_limits
from potstill.constraints.matcher import MatcherSource
from potstill.constraints.refusal import refusal
from potstill.constraints.sources import Source, after_space, source_of
from potstill.constraints.trial import Trial
from potstill.constraints.vocabulary import Vocabulary
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import Grammar

# The states of a lexer may take 40 MB each.
_MOST_KEPT = 32


def check_grammar(grammar: Grammar) -> None:
    """UsageError, within half a second, for one that cannot be used whatever the model."""
    source = source_of(grammar)
    _try(Trial(), source, source.text)


class GrammarCompiler:
    """Grammars over a model's `vocab_size` rows, with the tokenizer's tokens that end a text.

    `goes_on` is whether a text goes on from its prompt. Where it does not, as an encoder-decoder's, the space
    that some vocabularies put before a first word is written and is no part of the text.
    """

    def __init__(
        self, tokenizer: Tokenizer, vocab_size: int, *, goes_on: bool = True, trial: Trial | None = None
    ) -> None:
        self._tokenizer, self._vocab_size = tokenizer, vocab_size
        self._adds_space = not goes_on and tokenizer.without_prefix() is not tokenizer
        self._trial = trial or Trial()
        self._ready: OrderedDict[Grammar, GrammarConstraint] = OrderedDict()
        self._lock = Lock()

    def compile(self, grammar: Grammar) -> GrammarConstraint:
        """A constraint at the beginning of a text; UsageError, within half a second, where it cannot be used.

        The first waits until all tokens are spelt: about a second for 262,144 (one thread of a Zen 5).
        """
        with self._lock:
            if grammar in self._ready:
                self._ready.move_to_end(grammar)
            else:
                self._ready[grammar] = self._made(source_of(grammar))
            if len(self._ready) > _MOST_KEPT:
                self._ready.popitem(last=False)
            return self._ready[grammar].at_start()

    def unmet(self, grammar: Grammar, text: str) -> tuple[str, ...]:
        """What a text does not meet that is no more as its tokens wrote it, since its end was cut off."""
        return self.compile(grammar).unmet_by(f" {text}" if self._adds_space else text)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary.of(self._tokenizer, self._vocab_size)

    def _made(self, source: Source) -> GrammarConstraint:
        text = after_space(source.text) if self._adds_space else source.text
        _try(self._trial, source, text)
        matchable, limits = self._vocabulary.matchable, parser_limits()
        matchers = MatcherSource(lambda: LLMatcher(matchable, text, log_level=0, limits=limits))
        if matchers.error:
            raise refusal(source, matchers.error)
        constraint = GrammarConstraint(matchers, self._vocabulary, source.name)
        # That no text can begin is said before any work.
        constraint.allowed()
        return constraint


def _try(trial: Trial, source: Source, text: str) -> None:
    if objection := trial.objection(text):
        raise refusal(source, objection)
