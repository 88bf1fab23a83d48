"""A T5 packed as native programs against the same T5 run by torch."""

import copy
import random
from pathlib import Path

import pytest
import torch

from lm.random_t5 import random_t5
from models.t5_reference import FAMILIES, saved_t5
from potstill.errors import DamagedError
from potstill.lm.context import Context
from potstill.lm.encoder_decoder import EncoderDecoder
from potstill.lm.protocol import StepRow
from potstill.models.load_t5 import load_t5
from potstill.models.native_t5 import NativeT5Runner
from potstill.models.program_weights import WeightKind
from potstill.models.t5 import T5


def contexts(vocab_size: int) -> list[Context]:
    rng = random.Random(4)
    return [
        Context(
            tuple(rng.randrange(vocab_size) for _ in range(num_prompt)),
            tuple(rng.randrange(vocab_size) for _ in range(num_output)),
        )
        for num_prompt, num_output in ((9, 3), (2, 30), (60, 0), (1, 12), (33, 45))
    ]


def logprobs(t5: T5 | NativeT5Runner) -> torch.Tensor:
    model = EncoderDecoder(t5, kv_bytes=1 << 20)
    return torch.from_numpy(model.next_logprobs(contexts(model.vocab_size)))


@pytest.mark.parametrize("family", FAMILIES)
def test_float32_gives_what_torch_gives(family: str, tmp_path: Path) -> None:
    """Gated or not, tied or not, scaled or not, past the last bucket of distances."""
    saved_t5(family, tmp_path)
    expected = logprobs(load_t5(tmp_path, dtype=torch.float32))
    native = NativeT5Runner.of(load_t5(tmp_path, dtype=torch.float32), "fp32")
    torch.testing.assert_close(logprobs(native), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("kind", "least"), [("bf16", 0.998), ("int8", 0.95)])
def test_rounded_weights_give_nearly_that(kind: WeightKind, least: float) -> None:
    exact, rounded = logprobs(random_t5()), logprobs(NativeT5Runner.of(random_t5(), kind))
    alike = torch.nn.functional.cosine_similarity(exact, rounded)
    assert alike.min() > least


def steps(model: EncoderDecoder, batches: list[list[int]]) -> dict[int, list[torch.Tensor]]:
    """Each text's tokens fed one a step, the texts of a batch together; their logits."""
    asked = contexts(61)
    found: dict[int, list[torch.Tensor]] = {index: [] for index in range(len(asked))}
    for batch in batches:
        for place in range(max(len(asked[index].output_ids) for index in batch) + 1):
            running = [index for index in batch if place <= len(asked[index].output_ids)]
            rows = [
                StepRow(
                    Context(asked[index].prompt_ids, asked[index].output_ids[:place]),
                    place,
                    1,
                    range(index * 8, index * 8 + 4),
                    encoder_table=range(index * 8 + 4, index * 8 + 8),
                    encodes=place == 0,
                )
                for index in running
            ]
            for index, logits in zip(running, model.step(rows), strict=True):
                found[index].append(logits.clone())
    return found


@pytest.mark.parametrize("kind", ["fp32", "bf16", "int8"])
def test_cached_steps_do_not_hang_on_the_batch_to_the_last_bit(kind: WeightKind) -> None:
    runner = NativeT5Runner.of(random_t5(), kind)
    model = EncoderDecoder(runner, kv_bytes=1 << 20, block_size=16)
    together = steps(model, [[0, 1, 2, 3, 4]])
    alone = steps(model, [[index] for index in range(5)])
    for index, logits in together.items():
        assert all(torch.equal(*pair) for pair in zip(logits, alone[index], strict=True))
        assert len(logits) == len(contexts(61)[index].output_ids) + 1


def test_cached_steps_in_float32_equal_the_definition() -> None:
    model = EncoderDecoder(NativeT5Runner.of(random_t5(), "fp32"), kv_bytes=1 << 20)
    last = torch.stack([logits[-1] for logits in steps(model, [[0, 1, 2, 3, 4]]).values()])
    torch.testing.assert_close(last.log_softmax(-1), logprobs(random_t5()), atol=1e-4, rtol=0)


def test_weights_go_as_they_are_packed() -> None:
    t5 = random_t5()
    kept = copy.deepcopy(t5)
    num_bytes = sum(parameter.numel() for parameter in kept.parameters() if parameter.ndim == 2)
    runner = NativeT5Runner.of(t5, "int8")
    assert all(parameter.numel() == 0 for parameter in t5.parameters())
    assert num_bytes * 0.9 < runner.weight_bytes < num_bytes * 3


def test_weights_that_are_no_numbers_are_refused() -> None:
    t5 = random_t5()
    with torch.no_grad():
        t5.decoder.block[1].layer[2].DenseReluDense.wo.weight[0, 0] = torch.nan
    with pytest.raises(DamagedError, match="cannot be packed"):
        NativeT5Runner.of(t5, "int8")
