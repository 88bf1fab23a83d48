"""The grammars that requests name, each compiled once."""

from collections import OrderedDict
from typing import TYPE_CHECKING

from potstill.constraints.protocol import Constraint
from potstill.lm.protocol import BatchedDecoder
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import Grammar

if TYPE_CHECKING:
    from potstill.constraints.compile import GrammarCompiler

_MOST_KEPT = 256


class Grammars:
    """Compiles for one tokenizer and a decoder's rows; the grammars used last are kept."""

    def __init__(self, tokenizer: Tokenizer, decoder: BatchedDecoder) -> None:
        self._tokenizer, self._decoder = tokenizer, decoder
        self._compiler: GrammarCompiler | None = None
        self._compiled: OrderedDict[Grammar, Constraint] = OrderedDict()

    def constraint(self, grammar: Grammar) -> Constraint:
        """One for a new text; UsageError where the grammar is none, or too much."""
        if grammar not in self._compiled:
            self._compiled[grammar] = self._compile(grammar)
        self._compiled.move_to_end(grammar)
        if len(self._compiled) > _MOST_KEPT:
            self._compiled.popitem(last=False)
        return self._compiled[grammar].fork()

    def _compile(self, grammar: Grammar) -> Constraint:
        if self._compiler is None:
            # Reading a whole vocabulary takes its time, and few requests have a grammar.
            from potstill.constraints.compile import GrammarCompiler

            decoder = self._decoder
            self._compiler = GrammarCompiler(
                self._tokenizer, decoder.vocab_size, goes_on=not decoder.encodes_prompt
            )
        return self._compiler.compile(grammar)
