"""An encoder packed as a native program against the same encoder run by torch."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.encoder_reference import FAMILIES, saved_encoder
from potstill.models.encoder_runner import EncoderRunner, TorchEncoderRunner
from potstill.models.load_encoder import load_encoder
from potstill.models.native_encoder import NativeEncoderRunner
from potstill.models.program_weights import WeightKind

LENGTHS = [9, 2, 40, 10, 1]


def asked(family: str) -> tuple[Tensor, Tensor, list[int]]:
    """For BERT the second half of each text is a second text."""
    token_ids = torch.randint(4, 97, (sum(LENGTHS),), generator=torch.Generator().manual_seed(5))
    halves = [torch.arange(length) >= length // 2 for length in LENGTHS]
    return token_ids, torch.cat(halves).long() * family.startswith("bert"), LENGTHS


def native(folder: Path, kind: WeightKind) -> EncoderRunner:
    return NativeEncoderRunner.of(load_encoder(folder, dtype=torch.float32), kind)


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_float32_gives_what_torch_gives(family: str, tmp_path: Path) -> None:
    saved_encoder(family, "Model", tmp_path)
    expected = TorchEncoderRunner(load_encoder(tmp_path, dtype=torch.float32)).states(*asked(family))
    runner = native(tmp_path, "fp32")
    torch.testing.assert_close(runner.states(*asked(family)), expected, atol=1e-5, rtol=0)
    wanted = torch.tensor([0, 9, 11, 51, 61])
    assert torch.equal(runner.states(*asked(family), wanted), runner.states(*asked(family))[wanted])


@pytest.mark.parametrize(("kind", "least"), [("bf16", 0.998), ("int8", 0.99)])
@torch.inference_mode()
def test_rounded_weights_give_nearly_that(kind: WeightKind, least: float, tmp_path: Path) -> None:
    saved_encoder("bert", "Model", tmp_path)
    exact, rounded = (native(tmp_path, one).states(*asked("bert")) for one in ("fp32", kind))
    assert torch.nn.functional.cosine_similarity(exact, rounded).min() > least


@pytest.mark.parametrize("kind", ["fp32", "bf16", "int8"])
@torch.inference_mode()
def test_a_text_does_not_hang_on_the_batch_to_the_last_bit(kind: WeightKind, tmp_path: Path) -> None:
    saved_encoder("roberta", "Model", tmp_path)
    runner = native(tmp_path, kind)
    token_ids, type_ids, _ = asked("roberta")
    together = runner.states(token_ids, type_ids, LENGTHS).clone()
    texts = zip(torch.split(token_ids, LENGTHS), torch.split(type_ids, LENGTHS), LENGTHS, strict=True)
    alone = [runner.states(ids, types, [length]).clone() for ids, types, length in texts]
    assert torch.equal(together, torch.cat(alone))


def test_a_text_never_reads_on_in_the_places_of_a_second_one(tmp_path: Path) -> None:
    saved_encoder("bert", "Model", tmp_path)
    runner = native(tmp_path, "fp32")
    length = runner.config.max_positions + 1
    ids = torch.full((length,), 5)
    with pytest.raises(AssertionError, match="beyond the places of a first text"):
        runner.states(ids, torch.zeros_like(ids), [length])
