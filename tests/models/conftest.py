"""Tiny models of every family, made by transformers with random weights and written to a folder."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

TINY = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 1,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LINEAR = {"rope_type": "linear", "factor": 2.0}
GEMMA = {"sliding_window": 4, "sliding_window_pattern": 3, "query_pre_attn_scalar": 24}

# Name -> (class of transformers without its ending, what differs from TINY).
FAMILIES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "gemma3": ("Gemma3", GEMMA),
    "gemma3 scaled": (
        "Gemma3",
        GEMMA
        | {
            "final_logit_softcapping": 3.0,
            "num_key_value_heads": 1,
            "rope_parameters": {
                "full_attention": LINEAR | {"rope_theta": 900.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
            },
        },
    ),
    "llama": ("Llama", {}),
    "llama linear": ("Llama", {"rope_parameters": LINEAR | {"rope_theta": 300.0}}),
    "llama llama3": ("Llama", {"rope_parameters": LLAMA3, "tie_word_embeddings": True}),
    "llama biases": ("Llama", {"attention_bias": True, "mlp_bias": True, "num_key_value_heads": 4}),
    # The constants of published models, which GGUF files leave unsaid.
    "gemma3 published": (
        "Gemma3",
        {"sliding_window": 4, "query_pre_attn_scalar": 16, "num_hidden_layers": 7},
    ),
    "llama published": (
        "Llama",
        {"rope_parameters": LLAMA3 | {"rope_theta": 5e5, "original_max_position_embeddings": 8192}},
    ),
    "qwen2": ("Qwen2", {"hidden_size": 64}),
    "qwen2 window": (
        "Qwen2",
        {"hidden_size": 64, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3", {"tie_word_embeddings": True}),
    "qwen3 biases": ("Qwen3", {"attention_bias": True}),
    "mistral": ("Mistral", {"sliding_window": 5}),
    "mistral without windows": ("Mistral", {"sliding_window": None, "tie_word_embeddings": True}),
    "gemma2": (
        "Gemma2",
        {
            "sliding_window": 4,
            "query_pre_attn_scalar": 24,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
        },
    ),
    "gemma2 published": ("Gemma2", {"sliding_window": 6, "query_pre_attn_scalar": 16}),
    "gpt2": ("GPT2", {}),
    "gpt2 own inner size": (
        "GPT2",
        {"n_inner": 40, "scale_attn_weights": False, "activation_function": "relu"},
    ),
    "gpt_neox": ("GPTNeoX", {}),
    "gpt_neox in a row": (
        "GPTNeoX",
        {
            "use_parallel_residual": False,
            "attention_bias": False,
            "rope_parameters": LINEAR | {"rope_theta": 300.0, "partial_rotary_factor": 0.5},
            "tie_word_embeddings": True,
        },
    ),
    "gptj": ("GPTJ", {"rotary_dim": 4}),
    "opt": ("OPT", {}),
    "opt without biases": ("OPT", {"enable_bias": False, "tie_word_embeddings": False}),
}
# Families whose configs spell sizes in their own way.
SIZES = {
    "GPT2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64},
    "GPTJ": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64},
    "GPTNeoX": {
        "hidden_size": 64,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
    },
    "OPT": {
        "hidden_size": 32,
        "ffn_dim": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "word_embed_proj_dim": 32,
    },
}
COMMON = {name: TINY[name] for name in ("vocab_size", "pad_token_id", "bos_token_id", "eos_token_id")}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors this small are computed faster by one thread than handed to several."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def reference_model() -> Callable[[str], Any]:
    """A model of transformers for a family's name, in float32, its weights far from their starting values."""
    transformers = pytest.importorskip(
        "transformers", reason="transformers is in the dependency group `oracles`"
    )

    def make(name: str) -> Any:
        class_name, changes = FAMILIES[name]
        config_class = "Gemma3TextConfig" if class_name == "Gemma3" else f"{class_name}Config"
        model_class = "GPT2LMHeadModel" if class_name == "GPT2" else f"{class_name}ForCausalLM"
        values = (COMMON | SIZES[class_name] if class_name in SIZES else TINY) | dict(changes)
        if class_name == "Qwen2":
            del values["head_dim"]
        config = getattr(transformers, config_class)(**values, attn_implementation="eager")
        torch.manual_seed(1)
        model = getattr(transformers, model_class)(config).float().eval()
        for parameter in model.parameters():
            spread = 0.2 if parameter.ndim > 1 else 0.3
            parameter.data += spread * torch.randn(parameter.shape)
        return model

    return make


@pytest.fixture
def saved_reference(
    reference_model: Callable[[str], Any], tmp_path: Path
) -> Callable[[str], tuple[Any, Path]]:
    """The model, and the folder transformers wrote it to."""

    def make(name: str) -> tuple[Any, Path]:
        model, folder = reference_model(name), tmp_path / "reference"
        model.save_pretrained(folder)
        return model, folder

    return make


class TokenizerDouble:
    """The part of a tokenizer that is saved with a model."""

    bos_id = 2
    eos_ids = (1,)

    def save(self, folder: Path) -> None:
        (folder / "tokenizer.json").write_text("{}")


@pytest.fixture
def tokenizer() -> TokenizerDouble:
    return TokenizerDouble()
