"""Our engine with and without drafts, in a child of bench_speculation.py. No token ends a text.

python speculation_potstill.py THREADS MODEL bf16|int8               (asked over stdin, see decode_child.py)
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from decode_child import serve
from decode_step_times import StepTimes

from potstill.devices import use_threads
from potstill.engine.drafts.load import load_drafter
from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.lm.load import load_lm
from potstill.types import SamplingParams


class Runner:
    def __init__(self, threads: int, path: Path, dtype: Any) -> None:
        use_threads(threads)
        self._params = EngineParams()
        self._path, self._dtype = path, dtype
        self._decoder, self._tokenizer = load_lm(path, dtype=dtype, params=self._params)
        self._drafters: dict[tuple[str, str | None], Any] = {}
        self.run([[[5], 2]], 1)

    def run(
        self, requests: Sequence[Any], num_streams: int, settings: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Write every request; an engine of its own each time, so nothing is shared with earlier runs."""
        asked = settings or {}
        drafter = self._drafter(asked.get("draft"), asked.get("index"))
        params = EngineParams(max_batch=num_streams, kv_bytes=self._params.kv_bytes)
        engine = Engine(self._decoder, params, eos_ids=(), drafter=drafter)
        sampling = {"temperature": asked.get("temperature", 0.0)}
        started = time.perf_counter()
        sequences = [
            engine.add(ids, SamplingParams(max_tokens=limit, seed=index, **sampling))
            for index, (ids, limit) in enumerate(requests)
        ]
        times = StepTimes()
        while engine.has_work:
            _timed_step(engine, times)
        return {
            "seconds": time.perf_counter() - started,
            "outputs": [list(sequence.output_ids) for sequence in sequences],
            "times": times.to_record(),
            "engine": dict(engine.stats.as_dict()),
        }

    def step_times(self, num_positions: int, num_repeats: int) -> dict[str, Any]:
        """Seconds of a step of one text that runs so many positions and wants logits of all."""
        from potstill.lm.context import Context
        from potstill.lm.protocol import StepRow

        ids = tuple(range(100, 100 + 256 + num_positions))
        table = list(range(-(-(len(ids) + 1) // self._decoder.block_size)))
        self._decoder.step([StepRow(Context(ids[:256]), 0, 257, table)])
        row = StepRow(Context(ids[:256], ids[256:]), 257, num_positions, table, num_logits=num_positions)
        seconds = []
        for _ in range(num_repeats):
            started = time.perf_counter()
            self._decoder.step([row])
            seconds.append(time.perf_counter() - started)
        return {"seconds": sorted(seconds), "outputs": []}

    def _drafter(self, kind: str | None, index: str | None) -> Any:
        if kind is None:
            return None
        if (kind, index) not in self._drafters:
            self._drafters[kind, index] = load_drafter(
                kind,
                tokenizer=self._tokenizer,
                vocab_size=self._decoder.vocab_size,
                index=Path(index) if index else None,
                params=self._params,
                dtype=self._dtype,
                device="cpu",
            )
        return self._drafters[kind, index]


def _timed_step(engine: Engine, times: StepTimes) -> None:
    num_read, num_written = engine.stats.num_prompt_tokens_run, engine.stats.num_tokens_generated
    started = time.perf_counter()
    engine.step()
    seconds = time.perf_counter() - started
    stats = engine.stats
    times.add(seconds, stats.num_prompt_tokens_run - num_read, stats.num_tokens_generated - num_written)


def load() -> Mapping[str, Callable[..., dict[str, Any]]]:
    threads, path, dtype = sys.argv[1:]
    runner = Runner(int(threads), Path(path), dtype)
    return {"run": runner.run, "step_times": runner.step_times}


if __name__ == "__main__":
    serve(load)
