"""A T5 of a few thousand random weights."""

import torch

from potstill.models.t5 import T5
from potstill.models.t5_config import T5Config

VOCAB_SIZE = 61

T5_CONFIG = T5Config(
    model_type="t5",
    vocab_size=VOCAB_SIZE,
    d_model=32,
    d_kv=8,
    d_ff=48,
    num_layers=2,
    num_decoder_layers=3,
    num_heads=4,
    relative_attention_num_buckets=8,
    relative_attention_max_distance=20,
    activation="gelu_pytorch_tanh",
    is_gated=True,
    layer_norm_epsilon=1e-6,
    is_tied=True,
    scales_outputs=False,
    decoder_start_token_id=0,
    eos_token_ids=(1,),
    pad_token_id=0,
    max_positions=64,
)


def random_t5() -> T5:
    t5 = T5(T5_CONFIG)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in t5.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3 + (parameter.ndim == 1))
    return t5.eval()
