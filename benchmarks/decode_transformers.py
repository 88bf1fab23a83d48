"""transformers in a child of bench_decode.py: `generate` over static batches, and its continuous batching.

Static batches are put together by how many tokens their requests want, which no server could know: the least
waste there is, since each batch runs to its longest. Prompts are padded at the left. Only tokens that were
asked for count.

    python decode_transformers.py THREADS FOLDER bf16|fp32           (asked over stdin, see decode_child.py)
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from decode_child import serve
from decode_quality import closeness, logprobs
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.generation import ContinuousBatchingConfig

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
BEST = {"how": "static", "attention": "sdpa"}
# Room for every request of the workload at its longest, in pages of 256 tokens.
NUM_BLOCKS, STEP_TOKENS = 192, 2048


class Runner:
    def __init__(self, threads: int, folder: str, dtype: str) -> None:
        torch.set_num_threads(threads)
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPES[dtype]).eval()
        self._bos = self._model.config.bos_token_id
        self.run([[[self._bos + 1], 2]], 1)

    def run(
        self, requests: Sequence[Any], num_streams: int, settings: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        chosen = {**BEST, **(settings or {})}
        if self._model.config._attn_implementation != chosen["attention"]:
            self._model.set_attn_implementation(chosen["attention"])
        prompts = [[self._bos, *ids] for ids, _ in requests]
        limits = [limit for _, limit in requests]
        if chosen["how"] == "continuous":
            return self._continuous(prompts, limits, num_streams)
        return self._static(prompts, limits, num_streams)

    def reference(self, token_ids: Sequence[int], path: str) -> dict[str, Any]:
        """Keep the log-probabilities [N, V] after every position of one text."""
        np.save(path, np.stack([logprobs(row).astype(np.float32) for row in self._logits(token_ids)]))
        return {}

    def quality(self, token_ids: Sequence[int], reference: str) -> dict[str, Any]:
        return closeness(self._logits(token_ids), np.load(reference, mmap_mode="r"))

    def _logits(self, token_ids: Sequence[int]) -> np.ndarray:
        with torch.inference_mode():
            logits: np.ndarray = self._model(torch.tensor([token_ids])).logits[0].float().numpy()
        return logits

    def _static(self, prompts: list[list[int]], limits: list[int], num_streams: int) -> dict[str, Any]:
        order = sorted(range(len(prompts)), key=lambda index: (limits[index], len(prompts[index])))
        outputs: list[list[int]] = [[] for _ in prompts]
        started = time.perf_counter()
        for start in range(0, len(order), num_streams):
            batch = order[start : start + num_streams]
            rows = self._write_batch([prompts[index] for index in batch], limits[batch[-1]])
            for index, row in zip(batch, rows, strict=True):
                outputs[index] = row[: limits[index]]
        return {"seconds": time.perf_counter() - started, "outputs": outputs}

    def _write_batch(self, prompts: list[list[int]], num_tokens: int) -> list[list[int]]:
        longest = max(map(len, prompts))
        token_ids = torch.tensor([[0] * (longest - len(ids)) + ids for ids in prompts])
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts])
        settings = GenerationConfig(
            do_sample=False, max_new_tokens=num_tokens, pad_token_id=0, eos_token_id=None, bos_token_id=None
        )
        # None there is filled in from the model's own settings, which know the end of a text.
        self._model.generation_config.eos_token_id = None
        with torch.inference_mode():
            written = self._model.generate(token_ids, attention_mask=mask, generation_config=settings)
        rows: list[list[int]] = written[:, longest:].tolist()
        return rows

    def _continuous(self, prompts: list[list[int]], limits: list[int], num_streams: int) -> dict[str, Any]:
        settings = GenerationConfig(
            do_sample=False, max_new_tokens=max(limits), pad_token_id=0, eos_token_id=-1
        )
        batching = ContinuousBatchingConfig(
            num_blocks=NUM_BLOCKS,
            max_batch_tokens=STEP_TOKENS,
            max_requests_per_batch=num_streams,
            allow_block_sharing=False,
        )
        manager_of = self._model.continuous_batching_context_manager
        with manager_of(generation_config=settings, continuous_batching_config=batching) as manager:
            started = time.perf_counter()
            ids = [
                manager.add_request(prompt, max_new_tokens=limit, eos_token_id=-1)
                for prompt, limit in zip(prompts, limits, strict=True)
            ]
            found: dict[str, list[int]] = {}
            while len(found) < len(ids):
                result = manager.get_result(timeout=60)
                if result is None:
                    raise RuntimeError("continuous batching gave nothing for a minute")
                if result.error is not None:
                    raise RuntimeError(f"continuous batching: {result.error}")
                if result.is_finished():
                    found[result.request_id] = list(result.generated_tokens)
            seconds = time.perf_counter() - started
        return {"seconds": seconds, "outputs": [found[request_id] for request_id in ids]}


def load() -> Mapping[str, Callable[..., dict[str, Any]]]:
    runner = Runner(int(sys.argv[1]), *sys.argv[2:4])
    return {"run": runner.run, "reference": runner.reference, "quality": runner.quality}


if __name__ == "__main__":
    serve(load)
