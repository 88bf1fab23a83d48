"""config.json of a folder in Hugging Face layout, to a DecoderConfig and back.

Reads both spellings of rotary settings: `rope_theta` and `rope_scaling` (transformers 4) and
`rope_parameters` (transformers 5). Writes the older one, which every reader of that layout understands.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from potstill.models.config import DecoderConfig
from potstill.models.family import MODEL_TYPES, ModelType
from potstill.models.fields import Fields, errors_at
from potstill.models.hf_common import special_tokens_to_json
from potstill.models.hf_config_gpt import gpt_to_json, read_gpt2, read_gptj, read_neox, read_opt
from potstill.models.hf_config_llama import llama_to_json, read_llama

ARCHITECTURES: dict[ModelType, str] = {
    "gemma2": "Gemma2ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "gpt_neox": "GPTNeoXForCausalLM",
    "gptj": "GPTJForCausalLM",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "opt": "OPTForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
_READERS: dict[ModelType, Callable[[Fields], DecoderConfig]] = {
    "gpt2": read_gpt2,
    "gpt_neox": read_neox,
    "gptj": read_gptj,
    "opt": read_opt,
}


def config_from_json(table: Mapping[str, Any], where: str) -> DecoderConfig:
    """`table` is a parsed config.json, `where` its path; DamagedError names the field that is wrong."""
    fields = Fields(table, where)
    model_type = _model_type(fields)
    fields.refuse("quantization_config")
    with errors_at(where):
        if model_type in _READERS:
            return _READERS[model_type](fields)
        return read_llama(fields, model_type)


def config_to_json(config: DecoderConfig, dtype: torch.dtype) -> dict[str, Any]:
    """What transformers and llama.cpp's converter need to load the model as it was."""
    table: dict[str, Any] = {
        "architectures": [ARCHITECTURES[config.model_type]],
        "model_type": config.model_type,
        "torch_dtype": str(dtype).removeprefix("torch."),
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tied,
        "use_cache": True,
    }
    sizes = gpt_to_json(config) if config.model_type in _READERS else llama_to_json(config)
    return table | sizes | special_tokens_to_json(config)


def _model_type(fields: Fields) -> ModelType:
    name = fields.text("model_type")
    for model_type in MODEL_TYPES:
        if name == model_type:
            return model_type
    raise fields.error("model_type", f"is {name!r}; this version runs {', '.join(MODEL_TYPES)}")
