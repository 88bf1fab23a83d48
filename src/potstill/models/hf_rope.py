"""Rotary settings in config.json, in both spellings, and back in the older one.

`rope_theta` and `rope_scaling` are those of transformers 4, `rope_parameters` those of transformers 5.
"""

from typing import Any

from potstill.layers.rope import LinearScaling, Llama3Scaling, RopeSettings
from potstill.models.fields import Fields


def read_rope(fields: Fields, theta: float) -> RopeSettings:
    """Of a family with one rotation; `theta` is what it takes where nothing is said."""
    return _rope(scaling_table(fields), fields, fields.number("rope_theta", theta))


def read_two_ropes(fields: Fields, theta: float, local_theta: float) -> tuple[RopeSettings, RopeSettings]:
    """Of Gemma 3: the settings of layers that see everything and of layers with a window."""
    theta = fields.number("rope_theta", theta)
    parameters = fields.table("rope_parameters")
    full = parameters.table("full_attention")
    rope = _rope(fields.table("rope_scaling") if fields.has("rope_scaling") else full, fields, theta)
    if full.has("rope_theta"):
        rope = RopeSettings(full.number("rope_theta"), rope.scaling)
    local = parameters.table("sliding_attention")
    local.refuse("rope_type", "default")
    return rope, _rope(local, fields, fields.number("rope_local_base_freq", local_theta))


def scaling_table(fields: Fields) -> Fields:
    return fields.table("rope_scaling" if fields.has("rope_scaling") else "rope_parameters")


def refuse_partial_turns(fields: Fields) -> None:
    """DamagedError where only a share of each head turns."""
    for table in (fields, fields.table("rope_scaling"), fields.table("rope_parameters")):
        table.refuse("partial_rotary_factor", 1, 1.0)


def scaling_to_json(rope: RopeSettings) -> dict[str, Any] | None:
    scaling = rope.scaling
    if scaling is None:
        return None
    if isinstance(scaling, LinearScaling):
        return {"rope_type": "linear", "factor": scaling.factor}
    return {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": scaling.low_freq_factor,
        "high_freq_factor": scaling.high_freq_factor,
        "original_max_position_embeddings": scaling.original_positions,
    }


def _rope(parameters: Fields, fields: Fields, theta: float) -> RopeSettings:
    theta = parameters.number("rope_theta", theta)
    kind = parameters.text("rope_type", parameters.text("type", "default"))
    if kind == "default":
        return RopeSettings(theta)
    if kind == "linear":
        return RopeSettings(theta, LinearScaling(parameters.number("factor")))
    if kind == "llama3":
        scaling = Llama3Scaling(
            parameters.number("factor"),
            parameters.number("low_freq_factor"),
            parameters.number("high_freq_factor"),
            parameters.integer(
                "original_max_position_embeddings", fields.integer("max_position_embeddings", 2048)
            ),
        )
        return RopeSettings(theta, scaling)
    raise parameters.error("rope_type", f"is {kind!r}; this version runs default, linear, llama3")
