"""Our engine in a child of bench_decode.py. No token ends a text, so each writes as many as it is asked for.

python decode_potstill.py THREADS MODEL fp32|bf16|int8 [KV_MIB]      (asked over stdin, see decode_child.py)
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from decode_child import serve
from decode_quality import closeness
from decode_step_times import StepTimes

from potstill.devices import use_threads
from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.lm.context import Context
from potstill.lm.load import load_lm
from potstill.lm.protocol import StepRow
from potstill.types import SamplingParams

KV_MIB = 512


class Runner:
    def __init__(self, threads: int, path: Path, dtype: Any, kv_mib: int = KV_MIB) -> None:
        use_threads(threads)
        self._kv_bytes = kv_mib << 20
        self._decoder, _ = load_lm(path, dtype=dtype, params=EngineParams(kv_bytes=self._kv_bytes))
        self.runner_name = type(self._decoder.runner).__name__
        if dtype == "int8" and self.runner_name.startswith("Torch"):
            raise RuntimeError(f"int8 was asked for, but {self.runner_name} runs this model")
        self.run([[[5], 2]], 1)

    def run(
        self,
        requests: Sequence[Any],
        num_streams: int,
        settings: Mapping[str, Any] | None = None,
        num_beams: int = 1,
    ) -> dict[str, Any]:
        """Write every request; an engine of its own each time, so nothing is shared with earlier runs."""
        engine = self._engine(num_streams * num_beams, settings)
        started = time.perf_counter()
        sequences = [engine.add(ids, _sampling(limit, num_beams)) for ids, limit in requests]
        times = StepTimes()
        while engine.has_work:
            _timed_step(engine, times)
        seconds = time.perf_counter() - started
        return {
            "seconds": seconds,
            "outputs": [list(sequence.output_ids) for sequence in sequences],
            # A step of beams has more rows than texts.
            **({"times": times.to_record()} if num_beams == 1 else {}),
            "runner": self.runner_name,
            "weight_bytes": self._decoder.runner.weight_bytes,
            "kv_bytes": self._decoder.cache_bytes,
            "engine": dict(engine.stats.as_dict()),
        }

    def arrive(
        self,
        requests: Sequence[Any],
        at: Sequence[float],
        num_streams: int,
        num_beams: int = 1,
        settings: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Take each request when its time has come; `latencies` are from its arrival to its last token."""
        engine = self._engine(num_streams * num_beams, settings)
        arriving = list(zip(requests, at, strict=True))[::-1]
        sequences: list[Any] = []
        index_of: dict[int, int] = {}
        latencies = [0.0] * len(requests)
        started = time.perf_counter()
        while arriving or engine.has_work:
            now = time.perf_counter() - started
            while arriving and arriving[-1][1] <= now:
                (ids, limit), _ = arriving.pop()
                sequences.append(engine.add(ids, _sampling(limit, num_beams)))
                index_of[sequences[-1].sequence_id] = len(sequences) - 1
            if not engine.has_work:
                time.sleep(max(arriving[-1][1] - (time.perf_counter() - started), 0))
                continue
            for sequence in engine.step():
                index = index_of[sequence.sequence_id]
                latencies[index] = time.perf_counter() - started - at[index]
        return {
            "seconds": time.perf_counter() - started,
            "outputs": [list(sequence.output_ids) for sequence in sequences],
            "latencies": latencies,
            "engine": dict(engine.stats.as_dict()),
        }

    def quality(self, token_ids: Sequence[int], reference: str) -> dict[str, Any]:
        """As it decodes: position after position, over the cache. token_ids begin with BOS."""
        return closeness(self._rows(token_ids), np.load(reference, mmap_mode="r"))

    def _rows(self, token_ids: Sequence[int]) -> Iterator[np.ndarray]:
        assert self._decoder.num_prepended == 1, "the text is given with the model's own BOS"
        table = list(range(-(-len(token_ids) // self._decoder.block_size)))
        for position in range(len(token_ids)):
            context = Context(tuple(token_ids[1 : position + 1]))
            logits = self._decoder.step([StepRow(context, position, 1, table)])
            yield logits[0].float().numpy()

    def _engine(self, num_rows: int, settings: Mapping[str, Any] | None) -> Engine:
        params = EngineParams(max_batch=num_rows, kv_bytes=self._kv_bytes, **(settings or {}))
        return Engine(self._decoder, params, eos_ids=())


def _sampling(num_tokens: int, num_beams: int) -> SamplingParams:
    # One beam is asked for by silence, so that engines without beam search can be measured.
    beams = {"num_beams": num_beams} if num_beams > 1 else {}
    return SamplingParams(temperature=0, max_tokens=num_tokens, **beams)


def _timed_step(engine: Engine, times: StepTimes) -> None:
    num_read, num_rows = _prompt_tokens(engine), engine.stats.num_rows
    started = time.perf_counter()
    engine.step()
    seconds = time.perf_counter() - started
    times.add(seconds, _prompt_tokens(engine) - num_read, engine.stats.num_rows - num_rows)


def _prompt_tokens(engine: Engine) -> int:
    return engine.stats.num_prompt_tokens_run + engine.stats.num_positions_encoded


def load() -> Mapping[str, Callable[..., dict[str, Any]]]:
    threads, path, dtype, *kv_mib = sys.argv[1:]
    runner = Runner(int(threads), Path(path), dtype, *map(int, kv_mib))
    return {"run": runner.run, "arrive": runner.arrive, "quality": runner.quality}


if __name__ == "__main__":
    serve(load)
