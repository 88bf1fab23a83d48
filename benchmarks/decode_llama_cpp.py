"""llama.cpp in a child of bench_decode.py: many sequences in one llama_decode, refilled as they end.

Runs in llama-cpp-python's own environment, over its low-level interface. A step holds one token of every
sequence that writes, and the whole prompts of those that join; the next token is the greatest logit, which
numpy finds faster than llama.cpp's own greedy sampler (that first copies 262,144 candidates).

    python decode_llama_cpp.py THREADS MODEL.gguf          (asked over stdin, see decode_child.py)
    python decode_llama_cpp.py --quantize MODEL.gguf OUT.gguf     (Q8_0 from whatever MODEL holds)
"""

import ctypes
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from decode_child import serve
from decode_quality import closeness
from decode_step_times import StepTimes

# What is taken unless asked otherwise; bench_decode.py tries others and keeps the fastest.
BEST = {"n_ubatch": 512, "flash": True, "unified": True}
LONGEST = 400
BATCH_TOKENS = 2048


def quantize(source: Path, target: Path) -> None:
    params = llama.llama_model_quantize_default_params()
    params.ftype = llama.LLAMA_FTYPE_MOSTLY_Q8_0
    params.allow_requantize = True
    if llama.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)):
        raise SystemExit(f"llama.cpp could not quantise {source}.")


@dataclass
class Stream:
    """One sequence in its place of the cache."""

    index: int
    slot: int
    pending: list[int]
    limit: int
    num_past: int = 0
    output: list[int] = field(default_factory=list)


class Context:
    """A context with room for `num_streams` sequences and the batch that is filled for each step."""

    def __init__(self, model: Any, num_streams: int, threads: int, settings: Mapping[str, Any]) -> None:
        params = llama.llama_context_default_params()
        params.n_ctx = settings.get("longest", LONGEST) * num_streams
        params.n_batch = BATCH_TOKENS
        params.n_ubatch = settings["n_ubatch"]
        params.n_seq_max = num_streams
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = settings["unified"]
        params.flash_attn_type = int(settings["flash"])
        params.no_perf = True
        self.handle = llama.llama_init_from_model(model, params)
        if not self.handle:
            raise RuntimeError("llama.cpp made no context")
        self.memory = llama.llama_get_memory(self.handle)
        self.batch = llama.llama_batch_init(BATCH_TOKENS, 0, 1)
        self.num_vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))

    def close(self) -> None:
        llama.llama_batch_free(self.batch)
        llama.llama_free(self.handle)

    def begin(self) -> None:
        self.batch.n_tokens = 0

    def put(self, slot: int, token_ids: Sequence[int], position: int, *, all_logits: bool = False) -> None:
        batch, at = self.batch, self.batch.n_tokens
        for offset, token_id in enumerate(token_ids):
            batch.token[at + offset] = token_id
            batch.pos[at + offset] = position + offset
            batch.n_seq_id[at + offset] = 1
            batch.seq_id[at + offset][0] = slot
            batch.logits[at + offset] = all_logits or offset == len(token_ids) - 1
        batch.n_tokens = at + len(token_ids)

    def decode(self, num_rows: int) -> np.ndarray:
        """The logits of the rows that wanted them, [num_rows, V] float32, valid until the next call."""
        if status := llama.llama_decode(self.handle, self.batch):
            raise RuntimeError(f"llama_decode gave {status}")
        pointer = llama.llama_get_logits(self.handle)
        address = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(address, (num_rows, self.num_vocab))

    def free_slot(self, slot: int) -> None:
        llama.llama_memory_seq_rm(self.memory, slot, -1, -1)


class Runner:
    def __init__(self, path: Path, threads: int) -> None:
        llama.llama_backend_init()
        self._model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
        if not self._model:
            raise RuntimeError(f"llama.cpp cannot read {path}")
        self._bos = llama.llama_vocab_bos(llama.llama_model_get_vocab(self._model))
        self._threads = threads
        self._context: tuple[Any, Context] | None = None
        self.run([[[self._bos + 1], 2]], 1)

    def run(
        self, requests: Sequence[Any], num_streams: int, settings: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Write every request; the clock runs from the first step to the last token."""
        context = self._made(num_streams, {**BEST, **(settings or {})})
        waiting = deque(
            Stream(index, -1, [self._bos, *ids], limit) for index, (ids, limit) in enumerate(requests)
        )
        running: list[Stream] = []
        free = list(range(num_streams))
        outputs: list[list[int]] = [[] for _ in requests]
        times, num_steps = StepTimes(), 0
        started = time.perf_counter()
        while waiting or running:
            step_started, num_before = time.perf_counter(), _num_written(running)
            num_prompt_tokens = _refill(waiting, running, free)
            self._advance(context, running, requests)
            num_steps, num_written = num_steps + 1, _num_written(running) - num_before
            for stream in [stream for stream in running if len(stream.output) == stream.limit]:
                outputs[stream.index] = stream.output
                running.remove(stream)
                context.free_slot(stream.slot)
                free.append(stream.slot)
            times.add(time.perf_counter() - step_started, num_prompt_tokens, num_written)
        return {
            "seconds": time.perf_counter() - started,
            "outputs": outputs,
            "times": times.to_record(),
            "num_steps": num_steps,
            "weight_bytes": llama.llama_model_size(self._model),
        }

    def _advance(self, context: Context, running: Sequence[Stream], requests: Sequence[Any]) -> None:
        """One step: a token more for every stream."""
        context.begin()
        for stream in running:
            context.put(stream.slot, stream.pending, stream.num_past)
        logits = context.decode(len(running))
        for row, stream in zip(logits, running, strict=True):
            stream.num_past += len(stream.pending)
            stream.pending = [int(row.argmax())]
            stream.output.append(stream.pending[0])

    def quality(self, token_ids: Sequence[int], reference: str) -> dict[str, float]:
        """Beside the log-probabilities [N, V] kept in `reference`, at every position of one text."""
        context = self._made(1, BEST)
        context.begin()
        context.put(0, token_ids, 0, all_logits=True)
        logits = context.decode(len(token_ids))
        context.free_slot(0)
        return closeness(logits, np.load(reference, mmap_mode="r"))

    def _made(self, num_streams: int, settings: Mapping[str, Any]) -> Context:
        key = (num_streams, tuple(sorted(settings.items())))
        if self._context is None or self._context[0] != key:
            if self._context is not None:
                self._context[1].close()
            self._context = (key, Context(self._model, num_streams, self._threads, settings))
        return self._context[1]


def _num_written(running: Sequence[Stream]) -> int:
    return sum(len(stream.output) for stream in running)


def _refill(waiting: deque[Stream], running: list[Stream], free: list[int]) -> int:
    """Let in what has a place and fits into the step; the prompt tokens that join."""
    budget = BATCH_TOKENS - len(running)
    num_prompt_tokens = 0
    while waiting and free and num_prompt_tokens + len(waiting[0].pending) <= budget:
        stream = waiting.popleft()
        stream.slot = free.pop()
        num_prompt_tokens += len(stream.pending)
        running.append(stream)
    return num_prompt_tokens


def load() -> Mapping[str, Callable[..., dict[str, Any]]]:
    runner = Runner(Path(sys.argv[2]), int(sys.argv[1]))
    return {"run": runner.run, "quality": runner.quality}


if __name__ == "__main__":
    if sys.argv[1] == "--quantize":
        quantize(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        serve(load)
