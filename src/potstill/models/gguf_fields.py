"""Values that GGUF metadata of several families hold alike."""

import numpy as np

from potstill.layers.rope import LinearScaling, RopeSettings
from potstill.models.fields import Fields

MAX_COUNT = 1 << 20


def decimal(value: float) -> float:
    """The decimal that was meant: the file holds float32, in which 1e-6 is 9.999999974752427e-07."""
    with np.errstate(over="ignore"):
        return float(str(np.float32(value)))


def rope_of(fields: Fields, default_theta: float) -> RopeSettings:
    theta = fields.number("rope.freq_base", default_theta)
    kind = fields.text("rope.scaling.type", "none")
    if kind == "none":
        return RopeSettings(theta)
    if kind == "linear":
        return RopeSettings(theta, LinearScaling(fields.number("rope.scaling.factor")))
    raise fields.error("rope.scaling.type", f"is {kind!r}; this version runs none and linear")
