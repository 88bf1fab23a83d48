"""What a folder of Hugging Face calls our parameters, where that is not what we call them.

Our names are those of transformers' modules. Checkpoints of a family's bare body have them without the
body's own name (GPT-2's published one: `wte.weight`, `h.0.attn.c_attn.weight`), and GPT-NeoX's call the head
`embed_out`.
"""

from collections.abc import Callable, Collection

from potstill.models.config import DecoderConfig

_HEAD = "lm_head."
_NEOX_HEAD = "embed_out."
# Tables and masks that old checkpoints carry, computed anew here.
_BUFFERS = (
    "rotary_emb.inv_freq",
    ".attn.bias",
    ".attn.masked_bias",
    ".attention.bias",
    ".attention.masked_bias",
)


def names_in(config: DecoderConfig, found: Collection[str], body: str) -> Callable[[str], str]:
    """From a parameter's name to the one that a folder with the tensors `found` has for it.

    body: the first name in the path of everything below the head, such as `transformer`.
    """
    is_bare = not any(name.startswith(f"{body}.") for name in found)

    def stored(name: str) -> str:
        if name.startswith(_HEAD) and name not in found:
            return published_name(config, name)
        return name.removeprefix(f"{body}.") if is_bare else name

    return stored


def published_name(config: DecoderConfig, name: str) -> str:
    """What the family's own checkpoints call a parameter."""
    if config.model_type == "gpt_neox" and name.startswith(_HEAD):
        return _NEOX_HEAD + name.removeprefix(_HEAD)
    return name


def is_no_parameter(config: DecoderConfig, name: str) -> bool:
    """Whether a tensor may be there beside the parameters: a buffer, or a tied head written twice."""
    return name.endswith(_BUFFERS) or (config.tied and name.startswith((_HEAD, _NEOX_HEAD)))
