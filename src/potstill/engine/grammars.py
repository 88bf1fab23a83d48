"""The grammars that requests name, over an engine's tokenizer and the rows of its model."""

from typing import TYPE_CHECKING

from potstill.constraints.protocol import Constraint
from potstill.lm.protocol import BatchedDecoder
from potstill.tokenization.tokenizer import Tokenizer
from potstill.types import Grammar

if TYPE_CHECKING:
    from potstill.constraints.compile import GrammarCompiler


class Grammars:
    """Nothing is read before the first grammar comes."""

    def __init__(self, tokenizer: Tokenizer, decoder: BatchedDecoder) -> None:
        self._tokenizer, self._decoder = tokenizer, decoder
        self._compiler: GrammarCompiler | None = None

    def constraint(self, grammar: Grammar) -> Constraint:
        """One for a new text; UsageError where the grammar is none, or too much."""
        return self._compiling().compile(grammar)

    def unmet(self, grammar: Grammar, text: str) -> tuple[str, ...]:
        """What a text does not meet whose end was cut off, in a sentence."""
        return self._compiling().unmet(grammar, text)

    def _compiling(self) -> "GrammarCompiler":
        if self._compiler is None:
            # Reading a whole vocabulary takes its time, and few requests have a grammar.
            from potstill.constraints.compile import GrammarCompiler

            decoder = self._decoder
            self._compiler = GrammarCompiler(
                self._tokenizer, decoder.vocab_size, goes_on=not decoder.encodes_prompt
            )
        return self._compiler
