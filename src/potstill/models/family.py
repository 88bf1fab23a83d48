"""What the name of a family alone decides about a decoder; what differs inside one is in `models.config`."""

from typing import Literal, NamedTuple, get_args

ModelType = Literal[
    "gemma2",
    "gemma3_text",
    "gpt2",
    "gpt_neox",
    "gptj",
    "llama",
    "mistral",
    "opt",
    "qwen2",
    "qwen3",
]
MODEL_TYPES: tuple[ModelType, ...] = get_args(ModelType)


class Family(NamedTuple):
    """The parts all decoders of a family have alike.

    norm               kind of every norm of the width: root mean square, or mean and variance with a bias
    norm_offset        added to the weight of each root-mean-square norm
    scales_embedding   whether embedded tokens are multiplied by sqrt(E)
    position_offset    rows before position 0's in a table of learned positions, whose rows are added to the
                       embedded tokens; None where positions turn queries and keys instead
    head_norms         whether each query and key head is normalised (root mean square) before it turns
    is_gated           whether the feed-forward block is down(act(gate(x)) * up(x)), else down(act(up(x)))
    head_bias          whether the head has a bias
    """

    norm: Literal["rms", "layer"] = "rms"
    norm_offset: float = 0.0
    scales_embedding: bool = False
    position_offset: int | None = None
    head_norms: bool = False
    is_gated: bool = True
    head_bias: bool = False


_GPT = Family(norm="layer", is_gated=False)
FAMILIES: dict[ModelType, Family] = {
    "gemma2": Family(norm_offset=1, scales_embedding=True),
    "gemma3_text": Family(norm_offset=1, scales_embedding=True, head_norms=True),
    "gpt2": _GPT._replace(position_offset=0),
    "gpt_neox": _GPT,
    "gptj": _GPT._replace(head_bias=True),
    "llama": Family(),
    "mistral": Family(),
    "opt": _GPT._replace(position_offset=2),
    "qwen2": Family(),
    "qwen3": Family(head_norms=True),
}
