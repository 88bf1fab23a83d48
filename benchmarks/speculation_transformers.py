"""transformers with and without prompt lookup, in a child of bench_speculation.py: with it one at a time.

python speculation_transformers.py THREADS FOLDER bf16|fp32          (asked over stdin, see decode_child.py)
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from decode_child import serve
from transformers import AutoModelForCausalLM, GenerationConfig

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class Runner:
    def __init__(self, threads: int, folder: str, dtype: str) -> None:
        torch.set_num_threads(threads)
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPES[dtype]).eval()
        self._bos = self._model.config.bos_token_id
        self.num_forwards = 0
        self._model.register_forward_hook(self._count)
        self.run([[[self._bos + 1], 2]], 1)

    def run(
        self, requests: Sequence[Any], num_streams: int, settings: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """`num_draft` tokens at most, copied from where the last few occurred before; 0 does not draft."""
        if num_streams != 1:
            raise RuntimeError("transformers looks prompts up for one text at a time")
        lookup = {"prompt_lookup_num_tokens": count} if (count := (settings or {}).get("num_draft")) else {}
        self.num_forwards, outputs = 0, []
        started = time.perf_counter()
        for ids, limit in requests:
            outputs.append(self._write([self._bos, *ids], limit, lookup))
        return {
            "seconds": time.perf_counter() - started,
            "outputs": outputs,
            "num_steps": self.num_forwards,
        }

    def _write(self, ids: list[int], num_tokens: int, lookup: Mapping[str, int]) -> list[int]:
        asked = GenerationConfig(
            do_sample=False,
            max_new_tokens=num_tokens,
            pad_token_id=0,
            eos_token_id=None,
            bos_token_id=None,
            **lookup,
        )
        # None there is filled in from the model's own settings, which know the end of a text.
        self._model.generation_config.eos_token_id = None
        token_ids = torch.tensor([ids])
        with torch.inference_mode():
            written = self._model.generate(
                token_ids, attention_mask=torch.ones_like(token_ids), generation_config=asked
            )
        found: list[int] = written[0, len(ids) :].tolist()
        return found

    def _count(self, *_: object) -> None:
        self.num_forwards += 1


def load() -> Mapping[str, Callable[..., dict[str, Any]]]:
    runner = Runner(int(sys.argv[1]), *sys.argv[2:4])
    return {"run": runner.run}


if __name__ == "__main__":
    serve(load)
