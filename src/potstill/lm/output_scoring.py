"""How likely an encoder-decoder finds given outputs after given prompts."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import torch

from potstill.errors import DamagedError, UsageError
from potstill.lm.context import Context
from potstill.lm.encoder_decoder import EncoderDecoder
from potstill.lm.protocol import StepRow
from potstill.progress import Task

# Logits of so many positions are held at a time.
_LOGIT_ROWS = 256


def score_outputs(
    model: EncoderDecoder,
    requests: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    task: Task | None = None,
) -> list[float]:
    """log p(output | prompt) in nats, summed over each output's tokens, in the order of `requests`.

    A prompt is encoded once for requests with it that stand in a row. The model's own cache is written from
    its first block on, so no engine may be at work on it. `task` advances by requests. UsageError for what is
    longer than the model reads or its cache holds; DamagedError for a model whose logits are no numbers.
    """
    scores: list[float] = []
    for prompt, group in groupby(requests, key=lambda request: tuple(request[0])):
        outputs = [tuple(output) for _, output in group]
        _check(model, prompt, outputs)
        for part, encodes in _parts(model, prompt, outputs):
            scores += _scores(model, prompt, part, encodes=encodes)
            if task is not None:
                task.advance(len(part))
    if not all(map(math.isfinite, scores)):
        raise DamagedError("The model gives scores that are no numbers: its weights are damaged.")
    return scores


def _check(model: EncoderDecoder, prompt: Sequence[int], outputs: Sequence[Sequence[int]]) -> None:
    if not prompt or not all(outputs):
        raise UsageError("A prompt or an output is empty; each needs a token, if only the EOS that ends it.")
    longest = max(map(len, outputs))
    for what, length in (("prompt", len(prompt)), ("output", longest)):
        if length > model.max_positions:
            raise UsageError(
                f"A {what} of {length:,} tokens is longer than the {model.max_positions:,} that the model "
                f"reads. Shorten it."
            )
    size = model.block_size
    needed = -(-len(prompt) // size) + -(-longest // size)
    if needed > model.num_blocks:
        raise UsageError(
            f"A prompt of {len(prompt):,} tokens and an output of {longest:,} need more than the "
            f"{model.num_blocks * size:,} positions of the cache. Raise kv_bytes."
        )


def _parts(
    model: EncoderDecoder, prompt: Sequence[int], outputs: Sequence[tuple[int, ...]]
) -> Iterator[tuple[list[tuple[int, ...]], bool]]:
    """Outputs that are run together, and whether they are the first of their prompt."""
    size = model.block_size
    num_free = model.num_blocks - -(-len(prompt) // size)
    part: list[tuple[int, ...]] = []
    is_first = True
    for output in outputs:
        together = [*part, output]
        num_blocks = sum(-(-len(one) // size) for one in together)
        if part and (num_blocks > num_free or sum(map(len, together)) > _LOGIT_ROWS):
            yield part, is_first
            part, is_first = [], False
        part = [*part, output]
    yield part, is_first


@torch.inference_mode()
def _scores(
    model: EncoderDecoder, prompt: tuple[int, ...], outputs: Sequence[tuple[int, ...]], *, encodes: bool
) -> list[float]:
    size = model.block_size
    first_free = -(-len(prompt) // size)
    prompt_table = tuple(range(first_free))
    rows = []
    for output in outputs:
        # The start token and all but the last token are run; each gives the logits of the next.
        num_blocks = -(-len(output) // size)
        table = range(first_free, first_free + num_blocks)
        context = Context(prompt, output[:-1])
        rows.append(StepRow(context, 0, len(output), table, len(output), prompt_table, encodes))
        first_free += num_blocks
    logprobs = model.step(rows).float().log_softmax(-1)  # [M, V]
    written = torch.tensor([token for output in outputs for token in output], device=logprobs.device)
    found = logprobs.gather(-1, written[:, None])[:, 0].double().cpu().numpy()
    ends = np.cumsum([len(output) for output in outputs])[:-1]
    return [math.fsum(one) for one in np.split(found, ends)]
