"""One text being written: its tokens, where its cache lies, how it draws and when it ends. No torch here."""

from copy import copy
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from potstill.constraints.protocol import Constraint
from potstill.engine.block_manager import Chain
from potstill.engine.drafts.draft import Draft
from potstill.engine.looked_at import LookedAt
from potstill.engine.repetition import NgramBan, distinct
from potstill.engine.uniforms import Uniforms
from potstill.errors import PotstillError
from potstill.lm.context import Context
from potstill.types import FinishReason, SamplingParams, TokenLogprobs

_PREPENDED = -1
NO_DRAFT = Draft()
# What goes along where two rows exchange their texts.
_OF_A_TEXT = ("output_ids", "logprob", "ngram_ban", "constraint", "num_cached", "block_table", "chain")


class StopRule(Protocol):
    """Told of each drawn token in turn."""

    def push(self, token_id: int) -> bool:
        """Whether the text ends with this token."""
        ...

    def fork(self) -> "StopRule":
        """The same rule for a text that begins as this one and goes on otherwise."""
        ...


class NeverStop:
    def push(self, token_id: int) -> bool:
        return False

    def fork(self) -> "NeverStop":
        return self


@dataclass(slots=True, eq=False, kw_only=True)
class Sequence:
    """`num_cached` counts positions, the model's own first ones included, that lie in `block_table`.

    Positions are what the model prepends, the prompt and the output; of an encoder-decoder the prompt is
    none of them, its encoder's keys and values lie in `encoder_table`. `error` says why it was given up.

    `draft` holds what is guessed of its next tokens for the coming step, and is no part of the text. A
    `constraint` stands at the output so far.

    Of a row of a search, nothing is drawn; `looked_at` says what the search asks instead.
    A beam search hands over its best text, with the `score` it has there, and the next best as `others`.
    """

    sequence_id: int
    prompt_ids: tuple[int, ...]
    sampling: SamplingParams
    num_prepended: int = 0
    encodes_prompt: bool = False
    stop: StopRule = field(default_factory=NeverStop)
    constraint: Constraint | None = None
    output_ids: list[int] = field(default_factory=list)
    logprob: float = 0.0
    told: list[TokenLogprobs] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    error: PotstillError | None = None
    score: float = 0.0
    others: list["Sequence"] = field(default_factory=list)
    draft: Draft = NO_DRAFT
    looked_at: LookedAt | None = None
    num_cached: int = 0
    block_table: list[int] = field(default_factory=list)
    chain: Chain = field(default_factory=Chain)
    encoder_table: tuple[int, ...] = ()
    has_to_encode: bool = False
    uniforms: Uniforms = field(init=False)
    ngram_ban: NgramBan = field(init=False)

    def __post_init__(self) -> None:
        self.uniforms = Uniforms(self.sampling.seed)
        self.ngram_ban = NgramBan(self.sampling.no_repeat_ngram_size)

    @property
    def context(self) -> Context:
        return Context(self.prompt_ids, self.output_ids)

    @property
    def drafted_context(self) -> Context:
        """The context with what is guessed to follow."""
        if not self.draft.token_ids:
            return self.context
        return Context(self.prompt_ids, (*self.output_ids, *self.draft.token_ids))

    @property
    def num_positions(self) -> int:
        num_prompt = 0 if self.encodes_prompt else len(self.prompt_ids)
        return self.num_prepended + num_prompt + len(self.output_ids)

    @property
    def num_new(self) -> int:
        """Positions to run before the next token can be drawn."""
        return self.num_positions - self.num_cached

    @property
    def num_guessed(self) -> int:
        """Guessed positions behind its own that a search wants run with them, and all of them."""
        return 0 if self.looked_at is None else len(self.looked_at.guessed_ids)

    @property
    def is_finished(self) -> bool:
        return self.finish_reason is not None or self.error is not None

    def ids_between(self, start: int, end: int) -> tuple[int, ...]:
        """What stands at these positions: tokens, and -1 for what the model itself puts before them."""
        first = self.num_prepended
        prepended = (_PREPENDED,) * (min(first, end) - start)
        start, end = max(start - first, 0), max(end - first, 0)
        prompt_ids = () if self.encodes_prompt else self.prompt_ids
        num_prompt = len(prompt_ids)
        output_ids = self.output_ids[max(start - num_prompt, 0) : max(end - num_prompt, 0)]
        return prepended + prompt_ids[start:end] + tuple(output_ids)

    @property
    def seen_ids(self) -> NDArray[np.int64]:
        return distinct(self.output_ids)

    @property
    def banned_ids(self) -> set[int]:
        return self.ngram_ban.banned()

    @property
    def allowed(self) -> NDArray[np.int32] | None:
        return None if self.constraint is None else self.constraint.allowed()

    def next_uniform(self) -> float:
        return self.uniforms.at(len(self.output_ids))

    def take(self, token_id: int, logprob: float, *, is_eos: bool) -> None:
        """Append a drawn token and see whether it is the last."""
        self.output_ids.append(token_id)
        self.logprob += logprob
        self.ngram_ban.push(token_id)
        if self.constraint is not None:
            self.constraint.take(token_id)
        if is_eos or self.stop.push(token_id) or self._must_end:
            self.finish_reason = "stop"
        elif len(self.output_ids) == self.sampling.max_tokens:
            self.finish_reason = "length"
        else:
            self.ask_constraint()

    def ask_constraint(self) -> None:
        """Ask what may come next before a step does: where a constraint cannot say, this text alone ends."""
        if self.constraint is not None:
            try:
                self.constraint.allowed()
            except PotstillError as error:
                self.error = error

    def fork(self) -> "Sequence":
        """A text with these tokens that has no blocks yet."""
        other = copy(self)
        other.output_ids, other.told, other.others = list(self.output_ids), [], []
        other.ngram_ban, other.draft = self.ngram_ban.fork(), NO_DRAFT
        other.constraint = None if self.constraint is None else self.constraint.fork()
        other.num_cached, other.block_table, other.chain = 0, [], Chain()
        other.encoder_table, other.has_to_encode = (), False
        return other

    def exchange(self, other: "Sequence") -> None:
        """Swap texts with another of the same prompt, and the places they have in the cache."""
        for name in _OF_A_TEXT:
            mine, its = getattr(self, name), getattr(other, name)
            setattr(self, name, its)
            setattr(other, name, mine)

    @property
    def _must_end(self) -> bool:
        # When the texts of a search end is for the search to say.
        return self.looked_at is None and self.constraint is not None and self.constraint.must_end
