"""The nouns and protocols that rows which do not know each other share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol, Self

import numpy as np

from potstill.errors import ConfigError

FinishReason = Literal["stop", "length"]
# How weights are kept where a model writes and judges; `auto` is the faster of bf16 and fp32 on the device.
DtypeName = Literal["auto", "bf16", "fp32", "int8"]


_WHOLE = ("top_k", "no_repeat_ngram_size", "max_tokens", "seed", "n", "num_logprobs", "num_beams")
_REAL = ("temperature", "top_p", "min_p", "repetition_penalty", "length_penalty")


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How the next token is drawn and when a text ends.

    temperature            [0, 1000]; 0 is greedy, and then the filters below do not matter
    top_k                  >= 0 tokens kept; 0 keeps all
    top_p                  (0, 1], the smallest set of tokens with at least this mass (nucleus sampling)
    min_p                  [0, 1), a token needs this share of the likeliest token's probability
    repetition_penalty     [0.001, 1000]; 1 changes nothing (Keskar et al. 2019, arXiv:1909.05858, 4.1)
    no_repeat_ngram_size   >= 0 tokens; 0 allows all
    max_tokens             >= 1 new tokens
    stop                   texts that end the output; they are cut off
    stop_at_first_sentence whether the output ends with its first complete sentence
    seed                   >= 0; the same seed and prompt give the same text whatever else is in the batch
    n                      [1, 1024] texts of one prompt, each with a seed of its own made from `seed`
    num_logprobs           [0, 20] likeliest tokens told at each place, with their log-probabilities
    num_beams              [1, 256] texts that beam search follows at once; 1 draws instead of searching. A
                           search finds `n` texts, and temperature, filters and seed do not matter to it
    length_penalty         [-10, 10]; beams are ranked by log-probability / length ** length_penalty
    early_stopping         whether a search ends with `num_beams` finished texts, or goes on while the best
                           live one, ended now, would be among them
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    max_tokens: int = 128
    stop: tuple[str, ...] = ()
    stop_at_first_sentence: bool = False
    seed: int = 0
    n: int = 1
    num_logprobs: int = 0
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool = False

    def __post_init__(self) -> None:
        self._check_kinds()
        checks = (
            ("temperature", 0 <= self.temperature <= 1000, "in [0, 1000]"),
            ("top_k", 0 <= self.top_k < 2**31, "in [0, 2^31)"),
            # As the draw sees them, which counts in float32: a share that rounds to 0 leaves no token.
            ("top_p", 0 < self.top_p <= 1 and np.float32(self.top_p) > 0, "in (0, 1]"),
            ("min_p", 0 <= self.min_p < 1 and np.float32(self.min_p) < 1, "in [0, 1)"),
            ("repetition_penalty", 0.001 <= self.repetition_penalty <= 1000, "in [0.001, 1000]"),
            ("no_repeat_ngram_size", 0 <= self.no_repeat_ngram_size < 2**31, "in [0, 2^31)"),
            ("max_tokens", 1 <= self.max_tokens < 2**31, "in [1, 2^31)"),
            ("seed", 0 <= self.seed < 2**63, "in [0, 2^63)"),
            ("n", 1 <= self.n <= 1024, "in [1, 1024]"),
            ("num_logprobs", 0 <= self.num_logprobs <= 20, "in [0, 20]"),
            ("num_beams", 1 <= self.num_beams <= 256, "in [1, 256]"),
            ("length_penalty", -10 <= self.length_penalty <= 10, "in [-10, 10]"),
        )
        for name, holds, range_text in checks:
            if not holds:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be {range_text}.")
        if self.n > self.num_beams > 1:
            raise ConfigError(f"n is {self.n}; a search of {self.num_beams} beams finds no more texts.")
        if self.num_beams > 1 and self.num_logprobs:
            raise ConfigError(f"num_logprobs is {self.num_logprobs}; a beam search tells none.")

    def _check_kinds(self) -> None:
        """A flag is no number, and 1.5 tokens are none."""
        for name in _WHOLE:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise ConfigError(f"{name} is {value!r}; it must be a whole number.")
        for name in _REAL:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
                raise ConfigError(f"{name} is {value!r}; it must be a number.")
        for name in ("stop_at_first_sentence", "early_stopping"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is {getattr(self, name)!r}; it must be true or false.")
        stop: object = self.stop
        if not isinstance(stop, tuple) or not all(isinstance(text, str) for text in stop):
            raise ConfigError(f"stop is {stop!r}; it must be a tuple of texts.")
        if not all(stop):
            raise ConfigError("stop holds an empty text, which would end every output at once.")

    def with_seed(self, seed: int) -> Self:
        return replace(self, seed=seed)


class TokenLogprobs(NamedTuple):
    """A written token and the likeliest that could have stood there, in nats, under the model itself.

    `likeliest` holds (token id, log-probability), the likeliest first; the written token may be missing.
    """

    token_id: int
    logprob: float
    likeliest: tuple[tuple[int, float], ...]


class Completion(NamedTuple):
    """What a generator wrote after a prompt. `logprob` is the sum over `token_ids`, in nats.

    `logprobs` holds one entry a token where the request asked for alternatives, else nothing. `sample` counts
    the texts of one request. `unmet` says what of the request's constraints the text does not meet.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    logprob: float
    logprobs: tuple[TokenLogprobs, ...] = ()
    sample: int = 0
    unmet: tuple[str, ...] = ()


class Grammar(NamedTuple):
    """What a whole text must look like.

    regex        a regular expression, matched from the first character to the last
    json_schema  a JSON schema, as JSON
    lark         a grammar as llguidance reads it, whose rule `start` is the text
    choices      texts of which one is written, as a JSON list
    """

    kind: Literal["regex", "json_schema", "lark", "choices"]
    source: str


class Phrase(NamedTuple):
    """A literal of lexical constraints: whether these words stand in the text, or do not."""

    text: str
    is_wanted: bool = True


# Every clause must hold; one holds where any of its phrases does (a formula in conjunctive normal form).
Clauses = tuple[tuple[Phrase, ...], ...]


class TextRequest(NamedTuple):
    """A prompt to go on from; the `grammar` and the `clauses` are about what is written, not the prompt.

    `prompt_ids`, where there are any, are read in the prompt's place: no text spells a control token, such as
    those of a chat template.
    """

    prompt: str
    sampling: SamplingParams
    grammar: Grammar | None = None
    clauses: Clauses = ()
    prompt_ids: tuple[int, ...] = ()


class Generator(Protocol):
    """Anything that continues texts: an engine over a model, or a remote endpoint."""

    def complete(self, requests: Sequence[TextRequest]) -> Iterator[tuple[int, Completion]]:
        """Yield (index of the request, a completion) in the order they finish, `n` of them a request."""
        ...


class TextPair(NamedTuple):
    source: str
    target_text: str


class Critic(Protocol):
    """A number about a pair; higher or lower is better by the filter that uses it."""

    @property
    def name(self) -> str: ...

    def scores(self, pairs: Sequence[TextPair]) -> np.ndarray:
        """One float64 a pair, [len(pairs)]."""
        ...


class Evaluator(Protocol):
    """Something the trainer asks now and then; it closes over the model it looks at."""

    @property
    def name(self) -> str: ...

    def evaluate(self) -> Mapping[str, float]: ...
