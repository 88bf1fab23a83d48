"""How parameters begin that torch has no layer for."""

import torch
from torch import nn

_SPREAD = 0.02


def drawn(*shape: int) -> nn.Parameter:
    """A parameter of this shape, normal around 0; on the device `meta` there is nothing to draw.

    Asked there all the same, torch imports the second half of itself first, for seconds.
    """
    parameter = nn.Parameter(torch.empty(*shape))
    if not parameter.is_meta:
        nn.init.normal_(parameter, std=_SPREAD)
    return parameter
