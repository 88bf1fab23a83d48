"""What a decoder is made of: every number an architecture needs, checked before anything is allocated."""

import math
from dataclasses import dataclass

from potstill.errors import DamagedError
from potstill.layers.mlp import Activation
from potstill.layers.rope import Llama3Scaling, RopeSettings
from potstill.models.family import FAMILIES, Family, ModelType

# Far above any published decoder; below what would make the checks themselves expensive.
_RANGES = {
    "vocab_size": (1, 1 << 22),
    "hidden_size": (1, 1 << 16),
    "intermediate_size": (1, 1 << 20),
    "num_layers": (1, 1024),
    "num_heads": (1, 1024),
    "num_kv_heads": (1, 1024),
    "head_dim": (2, 2048),
    "max_positions": (1, 1 << 26),
}


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """The shape and constants of a decoder; DamagedError names a field out of range.

    With `family` it is all that a program needs to know besides the weights.

    max_positions       tokens the model was made for
    norm_eps            added under the root of each norm, in (0, 0.1]
    query_scale         > 0, multiplies q·k
    activation          of the feed-forward block
    windows             a layer's window in tokens, the query included; None is no window; [num_layers]
    rope                rotary base and scaling of layers that see everything; unused with learned positions
    rope_local          the same for layers with a window
    partial_rotary_dim  how many numbers of each head turn, the first ones; None is all of them
    parallel_residual   attention and feed-forward read the same x, and both are added to it
    qkv_bias            whether the query, key and value projections have a bias
    output_bias         whether the attention's output projection has one
    mlp_bias            whether the feed-forward projections have one
    tied                whether the head is the embedding
    attention_softcap   scaled scores become softcap * tanh(scores / softcap); None leaves them
    logit_softcap       the same for logits
    """

    model_type: ModelType
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    max_positions: int
    norm_eps: float
    query_scale: float
    activation: Activation
    windows: tuple[int | None, ...]
    rope: RopeSettings = RopeSettings(10_000.0)
    rope_local: RopeSettings = RopeSettings(10_000.0)
    partial_rotary_dim: int | None = None
    parallel_residual: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    tied: bool = False
    attention_softcap: float | None = None
    logit_softcap: float | None = None
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    pad_token_id: int | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise DamagedError(f"{name} is {value}; a decoder has {low} to {high:,}.")
        turned, windows, eps, scale = self.rotary_dim, self.windows, self.norm_eps, self.query_scale
        checks = (
            ("num_heads", self.num_heads % self.num_kv_heads == 0, "a multiple of num_kv_heads"),
            ("head_dim", self.head_dim % 2 == 0, "even, since positions turn pairs"),
            ("norm_eps", 0 < eps <= 0.1, "in (0, 0.1]"),
            ("query_scale", 0 < scale <= 1000, "in (0, 1000]"),
            ("windows", len(windows) == self.num_layers, "one a layer"),
            ("windows", all(map(_is_window, windows)), "in [1, 2^31) each"),
            ("rotary_dim", turned % 2 == 0 and 0 <= turned <= self.head_dim, "even and at most head_dim"),
            ("attention_softcap", _is_cap(self.attention_softcap), "> 0"),
            ("logit_softcap", _is_cap(self.logit_softcap), "> 0"),
        )
        for name, holds, range_text in checks:
            if not holds:
                raise DamagedError(f"{name} is {getattr(self, name)}; it must be {range_text}.")
        for name in ("rope", "rope_local"):
            _check_rope(name, getattr(self, name))
        special = (self.bos_token_id, self.pad_token_id, *self.eos_token_ids)
        if any(not 0 <= token_id < self.vocab_size for token_id in special if token_id is not None):
            raise DamagedError(
                f"a special token id of {special} is outside the vocabulary of {self.vocab_size:,}."
            )

    @property
    def family(self) -> Family:
        return FAMILIES[self.model_type]

    @property
    def rotary_dim(self) -> int:
        """How many numbers of each head turn; 0 where positions are learned."""
        if self.family.position_offset is not None:
            return 0
        return self.head_dim if self.partial_rotary_dim is None else self.partial_rotary_dim

    @property
    def embedding_scale(self) -> float:
        """What embedded tokens are multiplied by."""
        return math.sqrt(self.hidden_size) if self.family.scales_embedding else 1.0


def _is_window(window: int | None) -> bool:
    return window is None or 1 <= window < 1 << 31


def _is_cap(softcap: float | None) -> bool:
    return softcap is None or softcap > 0


def _check_rope(name: str, rope: RopeSettings) -> None:
    if not 1 < rope.theta <= 1e12:
        raise DamagedError(f"{name}.theta is {rope.theta}; it must be in (1, 1e12].")
    scaling = rope.scaling
    if scaling is None:
        return
    if not 1 <= scaling.factor <= 10_000:
        raise DamagedError(f"{name}.factor is {scaling.factor}; it must be in [1, 10000].")
    if isinstance(scaling, Llama3Scaling):
        if not 0 < scaling.low_freq_factor < scaling.high_freq_factor <= 10_000:
            raise DamagedError(
                f"{name}.low_freq_factor is {scaling.low_freq_factor} and high_freq_factor "
                f"{scaling.high_freq_factor}; the first must be above 0 and below the second."
            )
        if not 1 <= scaling.original_positions <= _RANGES["max_positions"][1]:
            raise DamagedError(f"{name}.original_max_position_embeddings is {scaling.original_positions}.")
