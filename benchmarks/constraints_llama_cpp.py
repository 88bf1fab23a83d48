"""llama.cpp with its grammar made from a JSON schema, in a child of bench_constraints.py.

python constraints_llama_cpp.py THREADS MODEL.gguf                   (asked over stdin, see decode_child.py)
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from decode_child import serve
from llama_cpp import Llama, LlamaGrammar


class Runner:
    def __init__(self, threads: int, path: str) -> None:
        self._llama = Llama(path, n_ctx=2048, n_threads=threads, n_threads_batch=threads, verbose=False)

    def write(
        self, prompt: str, schemas: Sequence[dict[str, Any] | None], max_tokens: int, temperature: float
    ) -> dict[str, Any]:
        """A text for each schema, one after the other; None is a text without a grammar."""
        texts, seconds, counts = [], [], []
        for seed, schema in enumerate(schemas):
            grammar = LlamaGrammar.from_json_schema(json.dumps(schema), verbose=False) if schema else None
            self._llama.reset()
            started = time.perf_counter()
            found = self._llama(
                prompt, max_tokens=max_tokens, temperature=temperature, seed=seed, grammar=grammar
            )
            seconds.append(time.perf_counter() - started)
            texts.append(found["choices"][0]["text"])
            counts.append(found["usage"]["completion_tokens"])
        return {"texts": texts, "seconds": seconds, "num_tokens": counts}


def load() -> Mapping[str, Callable[..., dict[str, Any]]]:
    return {"write": Runner(int(sys.argv[1]), sys.argv[2]).write}


if __name__ == "__main__":
    serve(load)
