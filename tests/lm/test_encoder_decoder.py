import random
from itertools import count
from pathlib import Path

import pytest
import torch

from lm.random_t5 import random_t5
from models.t5_reference import FAMILIES, saved_t5
from potstill.errors import ConfigError, UsageError
from potstill.lm.context import Context
from potstill.lm.encoder_decoder import EncoderDecoder
from potstill.lm.protocol import StepRow
from potstill.models.load_t5 import load_t5
from potstill.models.native_t5 import NativeT5Runner

NUM_STEPS = 64


def greedy_cached(model: EncoderDecoder, prompts: list[tuple[int, ...]]) -> list[list[int]]:
    """One token a step for all prompts, which join one after the other."""
    blocks = count()

    def table(num_tokens: int) -> list[int]:
        return [next(blocks) for _ in range(-(-num_tokens // model.block_size))]

    encoder_tables = [table(len(prompt)) for prompt in prompts]
    tables = [table(NUM_STEPS) for _ in prompts]
    outputs: list[list[int]] = [[] for _ in prompts]
    for step in range(NUM_STEPS + len(prompts) - 1):
        running = [i for i in range(len(prompts)) if i <= step and len(outputs[i]) < NUM_STEPS]
        rows = [
            StepRow(
                Context(prompts[i], tuple(outputs[i])),
                len(outputs[i]),
                1,
                tables[i],
                encoder_table=encoder_tables[i],
                encodes=not outputs[i],
            )
            for i in running
        ]
        for i, token_id in zip(running, model.step(rows).argmax(-1).tolist(), strict=True):
            outputs[i].append(token_id)
    return outputs


@pytest.mark.parametrize("name", FAMILIES)
def test_greedy_texts_of_cached_steps_equal_transformers_by_torch_and_natively(
    name: str, tmp_path: Path
) -> None:
    """64 steps, past the last bucket of distances, of a ragged batch that grows by a prompt a step."""
    reference = saved_t5(name, tmp_path)
    rng = random.Random(3)
    prompts = [(*(rng.randrange(3, 97) for _ in range(length)), 1) for length in (3, 30, 0, 11)]
    expected = [
        reference.generate(
            torch.tensor([prompt]),
            min_new_tokens=NUM_STEPS,
            max_new_tokens=NUM_STEPS,
            do_sample=False,
            # Its cache has room for as many layers as the encoder has, which the decoder's go beyond.
            use_cache=False,
            eos_token_id=96_000,
            pad_token_id=0,
        )[0, 1:].tolist()
        for prompt in prompts
    ]
    native = NativeT5Runner.of(load_t5(tmp_path, dtype=torch.float32), "fp32")
    for runner in (load_t5(tmp_path, dtype=torch.float32), native):
        model = EncoderDecoder(runner, kv_bytes=1 << 21, block_size=4)
        assert greedy_cached(model, prompts) == expected
    assert len({token_id for output in expected for token_id in output}) > 3


def test_the_bias_of_cached_steps_is_that_of_the_whole_output(t5: EncoderDecoder) -> None:
    """With a table of distances that decides everything, each cached step gives what the definition gives."""
    runner_t5 = random_t5()
    with torch.no_grad():
        bias = runner_t5.decoder.get_submodule("block.0.layer.0.SelfAttention.relative_attention_bias")
        bias.weight.mul_(20)
    model = EncoderDecoder(runner_t5, kv_bytes=1 << 20, block_size=4)
    rng = random.Random(5)
    prompt, output = (7, 8, 1), tuple(rng.randrange(61) for _ in range(40))
    tables = list(range(1, 12))
    for end in range(len(output) + 1):
        row = StepRow(Context(prompt, output[:end]), end, 1, tables, encoder_table=[0], encodes=end == 0)
        cached = model.step([row]).float().log_softmax(-1)
        whole = torch.from_numpy(model.next_logprobs([row.context]))
        torch.testing.assert_close(cached, whole, atol=1e-4, rtol=1e-4)


def test_a_lone_bfloat16_row_is_summed_as_the_rows_of_a_batch_are() -> None:
    model = EncoderDecoder(random_t5().bfloat16(), kv_bytes=1 << 20, block_size=4)
    rows = [
        StepRow(Context((5, 1)), 0, 1, [0], encoder_table=[2], encodes=True),
        StepRow(Context((6, 7, 1)), 0, 1, [1], encoder_table=[3], encodes=True),
    ]
    together = model.step(rows)
    for index, row in enumerate(rows):
        assert torch.equal(model.step([row._replace(encodes=False)])[0], together[index])


def test_a_copied_block_holds_what_its_source_held(t5: EncoderDecoder) -> None:
    first = StepRow(Context((5, 1)), 0, 1, [0], encoder_table=[2], encodes=True)
    t5.step([first])
    t5.copy_blocks([(0, 7), (2, 9)])
    following = StepRow(Context((5, 1), (9,)), 1, 1, [7], encoder_table=[9])
    torch.testing.assert_close(
        t5.step([following]).log_softmax(-1),
        torch.from_numpy(t5.next_logprobs([following.context])),
        atol=1e-4,
        rtol=1e-4,
    )


def test_an_encoder_is_not_asked_about_nothing(t5: EncoderDecoder) -> None:
    with pytest.raises(UsageError, match="prompt is empty"):
        t5.next_logprobs([Context((1,)), Context(())])


def test_a_cache_too_small_for_one_block_is_refused() -> None:
    with pytest.raises(ConfigError, match="kv_bytes is 10"):
        EncoderDecoder(random_t5(), kv_bytes=10)
