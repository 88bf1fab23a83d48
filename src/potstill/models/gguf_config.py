"""Metadata of a GGUF file to a DecoderConfig: llama.cpp's names and what it leaves unsaid."""

from collections.abc import Mapping
from typing import Any

from potstill.layers.rope import RopeSettings
from potstill.models.config import DecoderConfig
from potstill.models.family import FAMILIES, ModelType
from potstill.models.fields import Fields, errors_at
from potstill.models.gguf_config_gpt import read_gpt
from potstill.models.gguf_fields import MAX_COUNT, decimal, rope_of

# Files of Mistral are files of `llama`.
ARCHITECTURES: dict[str, ModelType] = {
    "gemma2": "gemma2",
    "gemma3": "gemma3_text",
    "gpt2": "gpt2",
    "gptneox": "gpt_neox",
    "llama": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
}
# llama.cpp has these in its code, not in the file (src/models/gemma2.cpp and gemma3.cpp).
_GEMMA_WINDOW_PATTERN = {"gemma2": 2, "gemma3_text": 6}
_GEMMA_LOCAL_THETA = 10_000.0
_GEMMA_27B_LAYERS = {"gemma2": 46, "gemma3_text": 62}
_GEMMA_2_SOFTCAP, _GEMMA_2_LOGIT_SOFTCAP = 50.0, 30.0


def config_from_gguf(
    metadata: Mapping[str, Any], *, vocab_size: int, tied: bool, biases: frozenset[str], where: str
) -> DecoderConfig:
    """`vocab_size` and `tied` are seen from the tensors, and so are `biases`, the names of block 0's biases.

    Scaling as in Llama 3 stands in a tensor (`rope_freqs.weight`); `models.load` adds it.
    """
    top = Fields(metadata, where)
    model_type, fields = _of_architecture(top, metadata, where)
    special = {
        "bos_token_id": top.optional_integer("tokenizer.ggml.bos_token_id"),
        "eos_token_ids": top.integers("tokenizer.ggml.eos_token_id"),
        "pad_token_id": top.optional_integer("tokenizer.ggml.padding_token_id"),
    }
    with errors_at(where):
        if FAMILIES[model_type].norm == "layer":
            return read_gpt(fields, model_type, vocab_size=vocab_size, tied=tied, special=special)
        return _read_llama(
            fields, model_type, vocab_size=vocab_size, tied=tied, biases=biases, special=special
        )


def _read_llama(
    fields: Fields,
    model_type: ModelType,
    *,
    vocab_size: int,
    tied: bool,
    biases: frozenset[str],
    special: dict[str, Any],
) -> DecoderConfig:
    is_gemma = FAMILIES[model_type].scales_embedding
    num_layers = fields.count("block_count", MAX_COUNT)
    num_heads = fields.count("attention.head_count", MAX_COUNT)
    hidden_size = fields.count("embedding_length", MAX_COUNT)
    head_dim = _head_dim(fields, hidden_size // num_heads)
    rope = rope_of(fields, 10_000.0)
    is_27b = num_layers == _GEMMA_27B_LAYERS.get(model_type)
    return DecoderConfig(
        model_type=model_type,
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=fields.count("feed_forward_length", MAX_COUNT),
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=fields.integer("attention.head_count_kv", num_heads),
        head_dim=head_dim,
        max_positions=fields.integer("context_length"),
        norm_eps=decimal(fields.number("attention.layer_norm_rms_epsilon")),
        query_scale=float((hidden_size / num_heads if is_27b else max(head_dim, 1)) ** -0.5),
        activation="gelu_pytorch_tanh" if is_gemma else "silu",
        rope=rope,
        rope_local=_local_rope(fields) if model_type == "gemma3_text" else rope,
        windows=_windows(fields, model_type, num_layers),
        qkv_bias="attn_q.bias" in biases,
        output_bias="attn_output.bias" in biases,
        mlp_bias="ffn_up.bias" in biases,
        tied=tied,
        attention_softcap=_attention_softcap(fields, model_type),
        logit_softcap=_logit_softcap(fields, model_type),
        **special,
    )


def _of_architecture(top: Fields, metadata: Mapping[str, Any], where: str) -> tuple[ModelType, Fields]:
    """The family, and the metadata under its name when nothing in it is beyond us."""
    architecture = top.text("general.architecture")
    if architecture not in ARCHITECTURES:
        raise top.error(
            "general.architecture", f"is {architecture!r}; this version runs {', '.join(ARCHITECTURES)}"
        )
    start = f"{architecture}."
    fields = Fields(
        {key.removeprefix(start): value for key, value in metadata.items() if key.startswith(start)},
        f"{where}: {architecture}",
    )
    fields.refuse("expert_count", 0)
    return ARCHITECTURES[architecture], fields


def _head_dim(fields: Fields, default: int) -> int:
    head_dim = fields.integer("attention.key_length", default)
    for name in ("attention.value_length", "rope.dimension_count"):
        if fields.integer(name, head_dim) != head_dim:
            raise fields.error(
                name, f"differs from the head size of {head_dim}, which this version cannot run"
            )
    return head_dim


def _attention_softcap(fields: Fields, model_type: ModelType) -> float | None:
    if model_type == "gemma2":
        return fields.number("attn_logit_softcapping", _GEMMA_2_SOFTCAP)
    fields.refuse("attn_logit_softcapping", 0.0)
    return None


def _logit_softcap(fields: Fields, model_type: ModelType) -> float | None:
    if model_type == "gemma2":
        return fields.number("final_logit_softcapping", _GEMMA_2_LOGIT_SOFTCAP)
    return fields.optional_number("final_logit_softcapping")


def _local_rope(fields: Fields) -> RopeSettings:
    return RopeSettings(fields.number("rope.freq_base_swa", _GEMMA_LOCAL_THETA))


def _windows(fields: Fields, model_type: ModelType, num_layers: int) -> tuple[int | None, ...]:
    if model_type == "llama":
        return (fields.optional_integer("attention.sliding_window"),) * num_layers
    if model_type not in _GEMMA_WINDOW_PATTERN:
        return (None,) * num_layers
    window = fields.integer("attention.sliding_window")
    pattern = fields.integer("attention.sliding_window_pattern", _GEMMA_WINDOW_PATTERN[model_type])
    if pattern < 1:
        raise fields.error("attention.sliding_window_pattern", f"is {pattern}; it must be above 0")
    return tuple(None if (layer + 1) % pattern == 0 else window for layer in range(num_layers))
