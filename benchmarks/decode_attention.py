"""Attention written out against the fused one, and eager layers against compiled ones, as times of a call."""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

HEADS, HEAD_SIZE, LAYERS = 12, 64, 12
# (sequences, new positions, positions seen): a prompt, and a step of eight texts.
SHAPES = {
    "prompt of 128": (1, 128, 128),
    "prompt of 1,024": (1, 1024, 1024),
    "step of 8 at 1,024": (8, 1, 1024),
}


def written_out(q: Tensor, k: Tensor, v: Tensor, hidden: Tensor | None) -> Tensor:
    """q [B, H, T, D]; k, v [B, H, S, D]; hidden [T, S], what a query may not see."""
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if hidden is not None:
        scores = scores.masked_fill(hidden, -torch.inf)
    return scores.softmax(-1) @ v


def measure_attention(repeats: int) -> dict[str, Any]:
    found = {}
    for name, (B, T, S) in SHAPES.items():
        q = torch.randn(B, HEADS, T, HEAD_SIZE)
        k, v = torch.randn(B, HEADS, S, HEAD_SIZE), torch.randn(B, HEADS, S, HEAD_SIZE)
        is_causal = T > 1
        hidden = torch.ones(T, S, dtype=torch.bool).triu(1) if is_causal else None
        plain = milliseconds(lambda q=q, k=k, v=v, hidden=hidden: written_out(q, k, v, hidden), repeats)
        fused = milliseconds(
            lambda q=q, k=k, v=v, is_causal=is_causal: F.scaled_dot_product_attention(
                q, k, v, is_causal=is_causal
            ),
            repeats,
        )
        found[name] = {"written_out_ms": plain, "sdpa_ms": fused, "ratio": plain / fused}
    return found


def measure_compiled(folder: str, repeats: int) -> dict[str, Any]:
    """The layers of GPT-2 over whole sequences of 20 tokens, eager and through torch.compile."""
    from transformers import AutoModelForCausalLM

    body = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().transformer
    found: dict[str, Any] = {}
    for batch in (1, 10):
        token_ids = torch.randint(0, 50_000, (batch, 20))
        torch.compiler.reset()
        compiled = torch.compile(body)

        def run(model: Any, token_ids: Tensor = token_ids) -> Tensor:
            states: Tensor = model(token_ids, use_cache=False).last_hidden_state
            return states

        with torch.inference_mode():
            eager = milliseconds(lambda run=run: run(body), repeats)
            started = time.perf_counter()
            difference = (run(compiled) - run(body)).abs().max().item()
            seconds = time.perf_counter() - started
            fast = milliseconds(lambda run=run, compiled=compiled: run(compiled), repeats)
        found[f"{batch} x 20 tokens"] = {
            "eager_ms": eager,
            "compiled_ms": fast,
            "ratio": eager / fast,
            "compiling_s": seconds,
            "largest_difference": difference,
        }
    return found


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)
