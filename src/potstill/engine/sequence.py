"""One text being written: its tokens, where its cache lies, how it draws and when it ends. No torch here."""

from dataclasses import dataclass, field
from typing import Protocol

from potstill.engine.repetition import NgramBan
from potstill.engine.uniforms import Uniforms
from potstill.lm.context import Context
from potstill.types import FinishReason, SamplingParams


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
    """`num_cached` counts positions, the model's own first ones included, that lie in `block_table`."""

    sequence_id: int
    prompt_ids: tuple[int, ...]
    sampling: SamplingParams
    num_prepended: int = 0
    stop: StopRule = field(default_factory=NeverStop)
    output_ids: list[int] = field(default_factory=list)
    logprob: float = 0.0
    finish_reason: FinishReason | None = None
    num_cached: int = 0
    block_table: list[int] = field(default_factory=list)
    uniforms: Uniforms = field(init=False)
    ngram_ban: NgramBan = field(init=False)

    def __post_init__(self) -> None:
        self.uniforms = Uniforms(self.sampling.seed)
        self.ngram_ban = NgramBan(self.sampling.no_repeat_ngram_size)

    @property
    def context(self) -> Context:
        return Context(self.prompt_ids, tuple(self.output_ids))

    @property
    def num_positions(self) -> int:
        return self.num_prepended + len(self.prompt_ids) + len(self.output_ids)

    @property
    def num_new(self) -> int:
        """Positions to run before the next token can be drawn."""
        return self.num_positions - self.num_cached

    @property
    def most_positions(self) -> int:
        """Positions ever run: the last token drawn is not fed back."""
        return self.num_prepended + len(self.prompt_ids) + self.sampling.max_tokens - 1

    @property
    def is_finished(self) -> bool:
        return self.finish_reason is not None

    def next_uniform(self) -> float:
        return self.uniforms.at(len(self.output_ids))

    def take(self, token_id: int, logprob: float, *, is_eos: bool) -> None:
        """Append a drawn token and see whether it is the last."""
        self.num_cached = self.num_positions
        self.output_ids.append(token_id)
        self.logprob += logprob
        self.ngram_ban.push(token_id)
        if is_eos or self.stop.push(token_id):
            self.finish_reason = "stop"
        elif len(self.output_ids) == self.sampling.max_tokens:
            self.finish_reason = "length"
