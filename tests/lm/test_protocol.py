"""What holds for every language model of the project, each in its definition and in its cached steps."""

import random

import numpy as np
import pytest
import torch

from index.small_index import small_index
from lm.naive_index import NaiveIndex
from potstill.lm.context import Context
from potstill.lm.decoder import NeuralDecoder
from potstill.lm.infinigram import InfinigramModel
from potstill.lm.interpolated import InterpolatedDecoder, InterpolatedModel
from potstill.lm.interpolation import Interpolation
from potstill.lm.protocol import StepRow
from potstill.lm.stateless import Stateless
from potstill.lm.table import TableModel
from potstill.models.native_decoder import NativeRunner


def table():
    return TableModel({(): [1, 2, 3], (1,): [0, 0, 1], (1, 2): [5, 1, 1]})


def some_documents(vocab_size):
    """They hold pieces of the contexts asked about, and an end after one of them."""
    asked = [context.token_ids for context in contexts(vocab_size)]
    return [asked[0], asked[3][2:9] + asked[0], asked[-1][5:], asked[2], (0, 1)]


def infinigram(vocab_size):
    return InfinigramModel(NaiveIndex(some_documents(vocab_size), vocab_size))


def infinigram_on_disk(folder):
    return InfinigramModel(
        small_index(folder, [some_documents(61)[:3], some_documents(61)[3:]], vocab_size=61)
    )


def native(model):
    runner = NativeRunner.of(model.decoder, "fp32")
    return NeuralDecoder(runner, bos_id=model.bos_id, kv_bytes=1 << 20, block_size=4)


WEIGHTS = Interpolation(sparse=0.6, nonsparse=0.2)
EVERY_LM = {
    "table": lambda request: table(),
    "gemma": lambda request: request.getfixturevalue("gemma"),
    "llama": lambda request: request.getfixturevalue("llama"),
    "native gemma": lambda request: native(request.getfixturevalue("gemma")),
    "native llama": lambda request: native(request.getfixturevalue("llama")),
    "t5": lambda request: request.getfixturevalue("t5"),
    "native t5": lambda request: request.getfixturevalue("native_t5"),
    "infinigram": lambda request: infinigram(61),
    "infinigram on disk": lambda request: infinigram_on_disk(request.getfixturevalue("tmp_path")),
    "interpolated table": lambda request: InterpolatedModel(infinigram(3), table(), WEIGHTS),
    "interpolated gemma": lambda request: InterpolatedDecoder(
        infinigram(61), request.getfixturevalue("gemma"), WEIGHTS
    ),
}


@pytest.fixture(params=EVERY_LM)
def lm(request):
    return EVERY_LM[request.param](request)


@pytest.fixture
def decoder(lm):
    return lm if hasattr(lm, "step") else Stateless(lm, num_blocks=40, block_size=4)


def contexts(vocab_size, count=7):
    rng = random.Random(9)
    shared = tuple(rng.randrange(vocab_size) for _ in range(9))
    for index in range(count):
        own = tuple(rng.randrange(vocab_size) for _ in range(index + 1))
        yield Context(shared[: index + 4], own)


def contexts_that_begin_alike(decoder):
    """In their first positions, as far as a block goes; for an encoder-decoder that is their outputs."""
    for context in contexts(decoder.vocab_size):
        if decoder.encodes_prompt:
            yield Context((5, 1), context.prompt_ids[:4] + context.output_ids)
        else:
            yield context


def num_positions(decoder, context):
    num_tokens = len(context.output_ids) if decoder.encodes_prompt else context.num_tokens
    return decoder.num_prepended + num_tokens


def table_for(num_positions, decoder, blocks):
    return [next(blocks) for _ in range(-(-num_positions // decoder.block_size))]


def encoder_table_for(context, decoder, blocks):
    return table_for(len(context.prompt_ids), decoder, blocks) if decoder.encodes_prompt else []


def assert_same_distribution(decoder, scores, asked):
    torch.testing.assert_close(
        torch.as_tensor(scores).float().log_softmax(-1),
        torch.from_numpy(decoder.next_logprobs(asked)),
        rtol=1e-4,
        atol=1e-4,
    )


def definition(decoder):
    return decoder.model if isinstance(decoder, Stateless) else decoder


def test_every_language_model_gives_a_distribution(lm):
    got = lm.next_logprobs([Context((1, 2)), Context((0,), (1,))])
    assert got.shape == (2, lm.vocab_size) and got.dtype == np.float32
    np.testing.assert_allclose(np.exp(got).sum(axis=-1), 1.0, rtol=1e-5)


def test_a_distribution_does_not_depend_on_where_prompt_ends_and_output_begins(lm):
    if getattr(lm, "encodes_prompt", False):
        pytest.skip("an encoder reads the prompt and a decoder the output")
    first, second = lm.next_logprobs([Context((1, 0, 2)), Context((1,), (0, 2))])
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_step_over_whole_contexts_equals_the_definition(decoder):
    asked, blocks = list(contexts(decoder.vocab_size)), iter(range(decoder.num_blocks))
    rows = []
    for context in asked:
        size = num_positions(decoder, context)
        encoder_table = encoder_table_for(context, decoder, blocks)
        rows.append(
            StepRow(
                context,
                0,
                size,
                table_for(size, decoder, blocks),
                encoder_table=encoder_table,
                encodes=bool(encoder_table),
            )
        )
    assert_same_distribution(definition(decoder), decoder.step(rows), asked)


def test_steps_of_a_few_positions_each_equal_the_definition(decoder):
    """Pieces of prompts, single tokens, and rows that want no logits, mixed in one step."""
    asked, blocks = list(contexts(decoder.vocab_size)), iter(range(decoder.num_blocks))
    sizes = [num_positions(decoder, context) for context in asked]
    tables = [table_for(size, decoder, blocks) for size in sizes]
    encoder_tables = [encoder_table_for(context, decoder, blocks) for context in asked]
    done = [0] * len(asked)
    rng = random.Random(2)
    while any(now < size for now, size in zip(done, sizes, strict=True)):
        rows, finished = [], []
        for index, (context, size) in enumerate(zip(asked, sizes, strict=True)):
            num_new = min(rng.randrange(4), size - done[index])
            if num_new == 0:
                continue
            is_last = done[index] + num_new == size
            is_first = done[index] == 0
            encoder_table = encoder_tables[index]
            rows.append(
                StepRow(
                    context,
                    done[index],
                    num_new,
                    tables[index],
                    is_last,
                    encoder_table,
                    encodes=is_first and decoder.encodes_prompt,
                )
            )
            done[index] += num_new
            finished += [context] if is_last else []
        if not rows:
            continue
        scores = decoder.step(rows)
        assert scores.shape == (len(finished), decoder.vocab_size)
        if finished:
            assert_same_distribution(definition(decoder), scores, finished)


def test_rows_may_share_blocks_that_the_same_step_fills(decoder):
    """The prompt's blocks too, where an encoder reads it."""
    asked, blocks = list(contexts_that_begin_alike(decoder)), iter(range(decoder.num_blocks))
    encoder_table = encoder_table_for(asked[0], decoder, blocks)
    size = num_positions(decoder, asked[0])
    first = StepRow(asked[0], 0, size, table_for(size, decoder, blocks), True, encoder_table, True)
    rows = [first if decoder.encodes_prompt else first._replace(encodes=False)]
    for context in asked[1:]:
        size = num_positions(decoder, context)
        own = table_for(size - decoder.block_size, decoder, blocks)
        table = rows[0].block_table[:1] + own
        rows.append(
            StepRow(
                context,
                decoder.block_size,
                size - decoder.block_size,
                table,
                encoder_table=encoder_table,
            )
        )
    assert_same_distribution(definition(decoder), decoder.step(rows), asked)


def test_a_step_gives_the_logits_of_several_positions_of_a_row(lm, decoder):
    asked = [context for context in contexts(lm.vocab_size) if context.num_output > 2]
    blocks = iter(range(decoder.num_blocks))
    encodes = decoder.encodes_prompt
    rows = [
        StepRow(
            context,
            num_cached=0,
            num_new=decoder.num_prepended + (context.num_output if encodes else context.num_tokens),
            block_table=[next(blocks) for _ in range(-(-(context.num_tokens + 1) // decoder.block_size))],
            num_logits=num_logits,
            encoder_table=[next(blocks) for _ in range(-(-len(context.prompt_ids) // decoder.block_size))]
            if encodes
            else (),
            encodes=encodes,
        )
        for context, num_logits in zip(asked, [3, 0, 1, 2, 1], strict=True)
    ]
    wanted = [
        Context(row.context.prompt_ids, row.context.output_ids[: row.context.num_output - behind])
        for row in rows
        for behind in reversed(range(row.num_logits))
    ]
    logits = decoder.step(rows).float().log_softmax(-1)
    np.testing.assert_allclose(np.exp(logits.numpy()), np.exp(lm.next_logprobs(wanted)), atol=1e-4)
