"""Our decoders against transformers: same weights, same logits, same gradients."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from potstill.layers.attention import PackedAttention
from potstill.models.decoder import Decoder
from potstill.models.load import load_decoder

LENGTHS = [9, 2, 23, 10, 1]

SavedReference = Callable[[str], tuple[Any, Path]]


def random_sequences() -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randint(3, 97, (length,), generator=generator) for length in LENGTHS]


def packed_logits(decoder: Decoder, sequences: list[Tensor]) -> Tensor:
    attention = PackedAttention([len(sequence) for sequence in sequences])
    return decoder.logits(decoder(torch.cat(sequences), attention))


def test_logits_of_a_ragged_packed_batch_equal_transformers_on_each_sequence(
    saved_reference: SavedReference, family: str
) -> None:
    model, folder = saved_reference(family)
    sequences = random_sequences()
    with torch.inference_mode():
        expected = torch.cat([model(sequence[None]).logits[0] for sequence in sequences])
        got = packed_logits(load_decoder(folder, dtype=torch.float32), sequences)
    assert expected.std() > 0.1
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


def test_a_packed_batch_equals_single_runs(saved_reference: SavedReference, family: str) -> None:
    decoder = load_decoder(saved_reference(family)[1], dtype=torch.float32)
    sequences = random_sequences()
    with torch.inference_mode():
        alone = torch.cat([packed_logits(decoder, [sequence]) for sequence in sequences])
        torch.testing.assert_close(packed_logits(decoder, sequences), alone, atol=2e-5, rtol=0)


def test_gradients_equal_those_of_transformers(saved_reference: SavedReference, family: str) -> None:
    model, folder = saved_reference(family)
    decoder = load_decoder(folder, dtype=torch.float32)
    sequences = random_sequences()
    expected = torch.cat([model(sequence[None]).logits[0] for sequence in sequences])
    expected.logsumexp(-1).sum().backward()
    packed_logits(decoder, sequences).logsumexp(-1).sum().backward()
    gradients = dict(model.named_parameters())
    for name, parameter in decoder.named_parameters():
        expected_gradient = gradients[name].grad
        scale = float(expected_gradient.abs().max())
        torch.testing.assert_close(parameter.grad, expected_gradient, atol=1e-4 * max(scale, 1), rtol=0)


def test_bfloat16_logits_stay_near_float32(saved_reference: SavedReference, family: str) -> None:
    folder = saved_reference(family)[1]
    sequences = random_sequences()
    with torch.inference_mode():
        exact = packed_logits(load_decoder(folder, dtype=torch.float32), sequences)
        rounded = packed_logits(load_decoder(folder, dtype=torch.bfloat16), sequences)
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - exact).abs().max() < 0.1 * exact.abs().max()


def test_autocast_gives_what_bfloat16_weights_give(saved_reference: SavedReference, family: str) -> None:
    decoder = load_decoder(saved_reference(family)[1], dtype=torch.float32)
    sequences = random_sequences()
    with torch.inference_mode():
        exact = packed_logits(decoder, sequences)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = packed_logits(decoder, sequences)
    assert (rounded.float() - exact).abs().max() < 0.1 * exact.abs().max()
