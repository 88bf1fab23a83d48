"""CTranslate2 in a child of bench_decode.py: batches sorted by length, or of what arrived while it was busy.

Every text has the length that was asked for: the end token is forbidden until then. In a batch of texts of
different lengths each one ends by a callback (greedy search only: beam search has none), whereupon the others
go on without it; with beams all texts of a batch are equally long.

    python decode_ctranslate2.py THREADS FOLDER int8|float32         (asked over stdin, see decode_child.py)
    python decode_ctranslate2.py --convert SOURCE OUT int8|float32        (a T5 in Hugging Face layout)
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ctranslate2
from decode_child import serve


class Runner:
    def __init__(self, threads: int, folder: str, compute_type: str) -> None:
        self._translator = ctranslate2.Translator(
            folder, device="cpu", compute_type=compute_type, inter_threads=1, intra_threads=threads
        )
        self._pieces: list[str] = json.loads((Path(folder) / "shared_vocabulary.json").read_text())
        self._id_of = {piece: token_id for token_id, piece in enumerate(self._pieces)}
        self.run([[[5, 1], 2]], 1)

    def run(
        self,
        requests: Sequence[Any],
        num_streams: int,
        settings: Mapping[str, Any] | None = None,
        num_beams: int = 1,
    ) -> dict[str, Any]:
        """Write every request in batches of `num_streams`, which it sorts by the length of their sources."""
        sources = [self._told(ids) for ids, _ in requests]
        limits = [limit for _, limit in requests]
        started = time.perf_counter()
        outputs = self._write(sources, limits, num_beams, max_batch_size=num_streams, **(settings or {}))
        return {"seconds": time.perf_counter() - started, "outputs": outputs}

    def arrive(
        self,
        requests: Sequence[Any],
        at: Sequence[float],
        num_streams: int,
        num_beams: int = 1,
        settings: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Whenever it is free it takes all that have arrived, at most `num_streams`."""
        sources = [self._told(ids) for ids, _ in requests]
        limits = [limit for _, limit in requests]
        outputs: list[list[int]] = []
        latencies: list[float] = []
        started = time.perf_counter()
        while len(outputs) < len(sources):
            first = len(outputs)
            time.sleep(max(at[first] - (time.perf_counter() - started), 0))
            now = time.perf_counter() - started
            last = first + 1
            while last < min(len(sources), first + num_streams) and at[last] <= now:
                last += 1
            outputs += self._write(sources[first:last], limits[first:last], num_beams)
            ended = time.perf_counter() - started
            latencies += [ended - arrived for arrived in at[first:last]]
        return {
            "seconds": time.perf_counter() - started,
            "outputs": outputs,
            "latencies": latencies,
        }

    def _write(
        self, sources: list[list[str]], limits: list[int], num_beams: int, **settings: Any
    ) -> list[list[int]]:
        if len(set(limits)) > 1:
            assert num_beams == 1, "with beams every text of a batch must be equally long"
            settings["callback"] = lambda step: step.step + 1 >= limits[step.batch_id]
        found = self._translator.translate_batch(
            sources,
            beam_size=num_beams,
            max_decoding_length=max(limits),
            min_decoding_length=max(limits),
            **settings,
        )
        return [[self._id_of[piece] for piece in one.hypotheses[0]] for one in found]

    def _told(self, token_ids: Sequence[int]) -> list[str]:
        return [self._pieces[token_id] for token_id in token_ids]


def convert(source: str, target: str, quantization: str) -> None:
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(source).convert(target, quantization=quantization, force=True)


def load() -> Mapping[str, Callable[..., dict[str, Any]]]:
    runner = Runner(int(sys.argv[1]), *sys.argv[2:4])
    return {"run": runner.run, "arrive": runner.arrive}


if __name__ == "__main__":
    if sys.argv[1] == "--convert":
        convert(*sys.argv[2:5])
    else:
        serve(load)
