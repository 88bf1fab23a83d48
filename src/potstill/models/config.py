"""What a decoder is made of: every number an architecture needs, checked before anything is allocated."""

from dataclasses import dataclass
from typing import Literal, get_args

from potstill.errors import DamagedError
from potstill.layers.mlp import Activation
from potstill.layers.rope import Llama3Scaling, RopeSettings

ModelType = Literal["gemma3_text", "llama", "qwen2", "qwen3"]
MODEL_TYPES: tuple[ModelType, ...] = get_args(ModelType)

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

    max_positions   tokens the model was made for
    norm_eps        added under the root of each norm, in (0, 0.1]
    query_scale     > 0, multiplies q·k
    rope            rotary base and scaling of layers that see everything
    rope_local      the same for layers with a window
    windows         a layer's window in tokens, the query included; None is no window; [num_layers]
    qkv_bias        whether the query, key and value projections have a bias
    output_bias     whether the attention's output projection has one
    mlp_bias        whether the feed-forward projections have one
    tied            whether the head is the embedding
    logit_softcap   logits become softcap * tanh(logits / softcap); None leaves them
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
    rope: RopeSettings
    rope_local: RopeSettings
    windows: tuple[int | None, ...]
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    tied: bool = False
    logit_softcap: float | None = None
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    pad_token_id: int | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise DamagedError(f"{name} is {value}; a decoder has {low} to {high:,}.")
        checks = (
            (
                "num_heads",
                self.num_heads,
                self.num_heads % self.num_kv_heads == 0,
                "a multiple of num_kv_heads",
            ),
            ("head_dim", self.head_dim, self.head_dim % 2 == 0, "even, since positions turn pairs"),
            ("norm_eps", self.norm_eps, 0 < self.norm_eps <= 0.1, "in (0, 0.1]"),
            ("query_scale", self.query_scale, 0 < self.query_scale <= 1000, "in (0, 1000]"),
            ("windows", self.windows, len(self.windows) == self.num_layers, "one a layer"),
            ("windows", self.windows, all(w is None or w >= 1 for w in self.windows), ">= 1 each"),
            (
                "logit_softcap",
                self.logit_softcap,
                self.logit_softcap is None or self.logit_softcap > 0,
                "> 0",
            ),
        )
        for name, number, holds, range_text in checks:
            if not holds:
                raise DamagedError(f"{name} is {number}; it must be {range_text}.")
        for name in ("rope", "rope_local"):
            _check_rope(name, getattr(self, name))
        special = (self.bos_token_id, self.pad_token_id, *self.eos_token_ids)
        if any(not 0 <= token_id < self.vocab_size for token_id in special if token_id is not None):
            raise DamagedError(
                f"a special token id of {special} is outside the vocabulary of {self.vocab_size:,}."
            )


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
