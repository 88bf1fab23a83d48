"""How large a grammar may be, and what following it may take. Imports nothing but llguidance."""

from llguidance import LLParserLimits

MAX_SOURCE_BYTES = 1 << 20
# What JSON's parsers read safely; llguidance's own gives up at 128.
MAX_DEPTH = 100
# A trial gets this much of a processor, so that a refusal comes within half a second.
TRIAL_CPU_S = 0.25
TRIAL_BYTES = 2 << 30
# An eighth of what a program has itself most often: what passes here cannot overflow there.
TRIAL_STACK_BYTES = 1 << 20


def parser_limits() -> LLParserLimits:
    """A step takes at most about a tenth of a second, most often some milliseconds, and the states of a lexer
    40 MB.

    Large lexemes are not worked out ahead over the vocabulary: for small ones it gains nothing, and for
    others it takes longer than a refusal may.
    """
    return LLParserLimits(
        max_items_in_row=1_000,
        initial_lexer_fuel=1_000_000,
        step_lexer_fuel=200_000,
        step_max_items=5_000,
        max_lexer_states=50_000,
        max_grammar_size=200_000,
        precompute_large_lexemes=False,
        verbose_errors=False,
    )
