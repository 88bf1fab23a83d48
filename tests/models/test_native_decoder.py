"""The native program of every family beside the torch modules it was packed from."""

import gc
import sys
import threading
from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from potstill.errors import DamagedError
from potstill.layers.kv_cache import PagedKVCache, PagedRows
from potstill.models.adapters import LoraConfig, add_lora
from potstill.models.decoder import Decoder
from potstill.models.load import load_decoder
from potstill.models.native_decoder import NativeRunner
from potstill.models.program_weights import WeightKind
from potstill.models.runner import DecoderRunner, TorchRunner

SavedReference = Callable[[str], tuple[Any, Path]]

BLOCK_SIZE = 4
LENGTHS = [9, 2, 23, 10, 1]
# How far rounding may move a distribution, in nats on average over tokens.
MOST_KL: dict[WeightKind, float] = {"bf16": 0.001, "int8": 0.01}


@pytest.fixture
def decoder(saved_reference: SavedReference, family: str) -> Decoder:
    return load_decoder(saved_reference(family)[1], dtype=torch.float32)


@pytest.fixture
def gemma(saved_reference: SavedReference) -> Decoder:
    return load_decoder(saved_reference("gemma3")[1], dtype=torch.float32)


def native(decoder: Decoder, kind: WeightKind = "fp32") -> NativeRunner:
    return NativeRunner.of(deepcopy(decoder), kind)


def random_ids(count: int, seed: int = 5) -> Tensor:
    return torch.randint(3, 97, (count,), generator=torch.Generator().manual_seed(seed))


def cache_for(runner: DecoderRunner, num_blocks: int = 64) -> PagedKVCache:
    config = runner.config
    return PagedKVCache(
        config.num_layers,
        num_blocks,
        BLOCK_SIZE,
        config.num_kv_heads,
        config.head_dim,
        dtype=runner.cache_dtype,
    )


def tables_for(lengths: Sequence[int]) -> list[list[int]]:
    """Blocks of each sequence, not in the order of the cache."""
    counts = [-(-length // BLOCK_SIZE) for length in lengths]
    blocks = torch.randperm(sum(counts), generator=torch.Generator().manual_seed(2)).tolist()
    return [blocks[start:end] for start, end in pairwise([0, *accumulate(counts)])]


def logits_of(runner: DecoderRunner, token_ids: Tensor, lengths: Sequence[int] = LENGTHS) -> Tensor:
    """Of every token of whole sequences, in one step."""
    cache = cache_for(runner)
    rows = PagedRows.of(tables_for(lengths), [0] * len(lengths), lengths, cache)
    return runner.step(token_ids, rows, cache, torch.arange(len(token_ids)))


def write_greedily(runner: DecoderRunner, prompt: Tensor, num_tokens: int) -> list[int]:
    cache = cache_for(runner)
    table = [list(range(-(-(len(prompt) + num_tokens) // BLOCK_SIZE)))]
    rows = PagedRows.of(table, [0], [len(prompt)], cache)
    written = [int(runner.step(prompt, rows, cache, torch.tensor([len(prompt) - 1])).argmax())]
    while len(written) < num_tokens:
        rows = PagedRows.of(table, [len(prompt) + len(written) - 1], [1], cache)
        written.append(int(runner.step(torch.tensor(written[-1:]), rows, cache, torch.tensor([0])).argmax()))
    return written


@torch.inference_mode()
def test_logits_in_float32_equal_those_of_the_modules(decoder: Decoder) -> None:
    token_ids = random_ids(sum(LENGTHS))
    torch.testing.assert_close(
        logits_of(native(decoder), token_ids), logits_of(TorchRunner(decoder), token_ids), atol=1e-4, rtol=0
    )


@torch.inference_mode()
def test_greedy_tokens_equal_those_of_the_modules(decoder: Decoder) -> None:
    prompt = random_ids(4)
    num_tokens = 64 - len(prompt)
    expected = write_greedily(TorchRunner(decoder), prompt, num_tokens)
    assert write_greedily(native(decoder), prompt, num_tokens) == expected


@torch.inference_mode()
@pytest.mark.parametrize("kind", MOST_KL)
def test_rounded_weights_give_nearly_the_same_distributions(decoder: Decoder, kind: WeightKind) -> None:
    token_ids = random_ids(sum(LENGTHS))
    exact = logits_of(TorchRunner(decoder), token_ids).log_softmax(-1)
    rounded = logits_of(native(decoder, kind), token_ids).log_softmax(-1)
    kl = (exact.exp() * (exact - rounded)).sum(-1)
    assert kl.mean() < MOST_KL[kind] and kl.max() < 5 * MOST_KL[kind]


@torch.inference_mode()
@pytest.mark.parametrize("kind", get_args(WeightKind))
def test_a_prompt_in_pieces_gets_the_bits_of_the_whole(gemma: Decoder, kind: WeightKind) -> None:
    runner, token_ids = native(gemma, kind), random_ids(23)
    cache, table = cache_for(runner), tables_for([23])
    whole = runner.step(token_ids, PagedRows.of(table, [0], [23], cache), cache, torch.tensor([22]))
    cache, done = cache_for(runner), 0
    for size in (1, 7, 11, 4):
        rows = PagedRows.of(table, [done], [size], cache)
        last = runner.step(token_ids[done : done + size], rows, cache, torch.tensor([size - 1]))
        done += size
    assert torch.equal(last, whole)


@torch.inference_mode()
@pytest.mark.parametrize("kind", get_args(WeightKind))
def test_a_row_has_the_same_bits_whatever_the_batch_and_the_threads(gemma: Decoder, kind: WeightKind) -> None:
    runner, token_ids = native(gemma, kind), random_ids(sum(LENGTHS))
    together = logits_of(runner, token_ids)
    for num_threads in (2, 3):
        torch.set_num_threads(num_threads)
        assert torch.equal(logits_of(runner, token_ids), together)
    torch.set_num_threads(1)
    starts = [0, *accumulate(LENGTHS)]
    for start, end in pairwise(starts):
        assert torch.equal(logits_of(runner, token_ids[start:end], [end - start]), together[start:end])


@torch.inference_mode()
def test_hidden_states_and_logits_apart_give_what_a_step_gives(decoder: Decoder) -> None:
    runner, token_ids = native(decoder), random_ids(sum(LENGTHS))
    hidden = runner.hidden_of_whole(token_ids, LENGTHS)
    assert torch.equal(runner.logits(hidden), logits_of(runner, token_ids))
    expected = TorchRunner(decoder).hidden_of_whole(token_ids, LENGTHS)
    torch.testing.assert_close(hidden, expected, atol=1e-4, rtol=1e-4)
    out = torch.empty(3, 97)
    assert runner.logits(hidden[:3], out) is out and torch.equal(out, runner.logits(hidden)[:3])


@torch.inference_mode()
def test_only_wanted_rows_get_logits_and_all_are_cached(gemma: Decoder) -> None:
    runner, token_ids = native(gemma), random_ids(6)
    cache, other = cache_for(runner), cache_for(runner)
    rows = PagedRows.of([[1, 0]], [0], [6], cache)
    everything = runner.step(token_ids, rows, cache, torch.arange(6))
    assert torch.equal(runner.step(token_ids, rows, other, torch.tensor([5, 2])), everything[[5, 2]])
    assert runner.step(token_ids, rows, other, torch.tensor([], dtype=torch.int64)).shape == (0, 97)
    assert torch.equal(other.keys[:, 1], cache.keys[:, 1])


def test_weights_are_never_kept_twice(gemma: Decoder) -> None:
    num_weights = sum(weight.numel() for weight in gemma.parameters() if weight.ndim == 2)
    sizes = {kind: native(gemma, kind).weight_bytes for kind in get_args(WeightKind)}
    assert sizes["fp32"] < 4.7 * num_weights and sizes["bf16"] == sizes["fp32"] / 2
    NativeRunner.of(gemma, "fp32")
    gc.collect()
    assert not any(parameter.numel() for parameter in gemma.parameters())


@torch.inference_mode()
def test_adapters_are_merged_on_the_way(gemma: Decoder) -> None:
    add_lora(gemma, LoraConfig(rank=3), seed=1)
    for name, parameter in gemma.named_parameters():
        if "lora_B" in name:
            parameter.normal_(generator=torch.Generator().manual_seed(3))
    token_ids = random_ids(sum(LENGTHS))
    expected = logits_of(TorchRunner(gemma), token_ids)
    torch.testing.assert_close(logits_of(native(gemma), token_ids), expected, atol=2e-4, rtol=1e-4)


@torch.inference_mode()
def test_weights_that_are_no_numbers_are_refused_where_they_cannot_be_rounded(gemma: Decoder) -> None:
    gemma.get_parameter("model.layers.1.mlp.down_proj.weight")[3, 4] = torch.nan
    with pytest.raises(DamagedError, match="cannot be packed"):
        native(gemma, "int8")
    assert logits_of(native(gemma), random_ids(sum(LENGTHS))).isnan().any()


@torch.inference_mode()
def test_logits_that_somebody_still_reads_are_not_written_over(gemma: Decoder) -> None:
    runner = native(gemma)
    first = logits_of(runner, random_ids(10), [10])
    kept, view = first.clone(), first[3]
    del first
    logits_of(runner, random_ids(10, seed=9), [10])
    assert torch.equal(view, kept[3])


@torch.inference_mode()
def test_several_python_threads_may_step_one_runner(gemma: Decoder) -> None:
    runner, token_ids = native(gemma), random_ids(20)
    expected = logits_of(runner, token_ids, [20])
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(5):
            if not torch.equal(logits_of(runner, token_ids, [20]), expected):
                wrong.append(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@torch.inference_mode()
def test_a_step_runs_without_pythons_lock(gemma: Decoder) -> None:
    runner, token_ids = native(gemma), random_ids(45)
    ran, held, interval = [], threading.Lock(), sys.getswitchinterval()
    held.acquire()

    def work() -> None:
        with held:
            ran.append(True)

    other = threading.Thread(target=work)
    other.start()
    # Nobody is asked to give the lock up: the other thread gets it only where a step lets it go.
    sys.setswitchinterval(1000)
    try:
        held.release()
        for _ in range(1000):
            if not ran:
                logits_of(runner, token_ids, [45])
        assert ran
    finally:
        sys.setswitchinterval(interval)
        other.join()


@torch.inference_mode()
def test_a_profile_tells_the_seconds_of_each_kind_of_instruction(gemma: Decoder) -> None:
    runner = native(gemma)
    runner.program.profile(True)
    logits_of(runner, random_ids(10), [10])
    seconds = runner.program.seconds()
    assert seconds.keys() >= {"attend", "embed", "gate", "head", "linear", "norm", "rope", "store"}
    assert all(spent >= 0 for spent in seconds.values()) and seconds["linear"] > 0
    runner.program.profile(False)
    logits_of(runner, random_ids(10), [10])
    assert not any(runner.program.seconds().values())
