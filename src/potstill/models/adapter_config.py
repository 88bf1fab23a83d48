"""adapter_config.json as PEFT writes it: what is read of it, and what is refused.

What PEFT can describe and `layers.lora` cannot compute (DoRA, rank patterns, trained embeddings, …) is
refused by name.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from potstill.errors import DamagedError, ModelMissing
from potstill.files import read_json
from potstill.models.fields import Fields

CONFIG_NAME = "adapter_config.json"

# Settings of PEFT that say nothing about what is computed once the weights are there.
_WITHOUT_EFFECT = {
    *("auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config"),
    # How the base keeps its weights, which the modules know.
    "fan_in_fan_out",
    *("exclude_modules", "inference_mode", "layers_pattern", "layers_to_transform", "loftq_config"),
    *("lora_ga_config", "megatron_config", "megatron_core", "peft_version", "qalora_group_size"),
    *("revision", "target_modules", "task_type"),
}
_READ = {"peft_type", "r", "lora_alpha", "lora_dropout", "bias", "init_lora_weights"}
# Other ways to start an adapter change the weights it stands beside, which the file does not say.
_KNOWN_STARTS = (True, False, "gaussian", "orthogonal", "eva")


class Addition(NamedTuple):
    """Of every adapted layer alike; unchecked."""

    rank: int
    alpha: float
    dropout: float


def read_addition(folder: Path) -> Addition:
    """What the config in `folder` describes, when nothing else in it changes what is computed."""
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise ModelMissing(f"{folder} has no {CONFIG_NAME}, so it is no adapter.")
    table = read_json(path)
    if not isinstance(table, dict):
        raise DamagedError(f"{path} holds no table.")
    fields = Fields(table, str(path))
    if fields.text("peft_type") != "LORA":
        raise fields.error("peft_type", f"is {table['peft_type']!r}; this version runs LORA")
    fields.refuse("bias", "none")
    fields.refuse("init_lora_weights", *_KNOWN_STARTS)
    for name, value in table.items():
        if value and name not in _WITHOUT_EFFECT | _READ:
            raise fields.error(name, f"is {value!r}, which this version cannot run")
    return Addition(fields.integer("r"), fields.number("lora_alpha"), fields.number("lora_dropout", 0.0))


def config_to_json(
    addition: Addition, target_modules: Sequence[str], base_model_name: str, is_transposed: bool
) -> dict[str, Any]:
    """`is_transposed`: whether the base keeps its weights [in, out]."""
    alpha = addition.alpha
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model_name,
        "r": addition.rank,
        "lora_alpha": int(alpha) if float(alpha).is_integer() else alpha,
        "lora_dropout": addition.dropout,
        "target_modules": list(target_modules),
        "bias": "none",
        "fan_in_fan_out": is_transposed,
        "inference_mode": True,
        "init_lora_weights": True,
        "modules_to_save": None,
        "use_dora": False,
        "use_rslora": False,
    }
