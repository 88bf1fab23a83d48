"""How fast does the engine write, beside transformers' `generate`, on the same requests in the same run?

Work: prompts of 10 to 60 words, each with its own limit of 16 to 64 new tokens, in the order they come;
bfloat16, batches of 32, once drawn with top-p 0.9 and once greedy, since a full sort of 262k logits is what
costs the rival most when it draws. The rival pads prompts on the left and runs each batch to its longest
limit; only tokens that were asked for count, on both sides. Ceiling: the weights are read once a step, so
steps per second times their bytes is held against this machine's memory bandwidth.

    python benchmarks/bench_decoding.py [--model gemma-3-270m] [--requests 64] [--rounds 3] [--out FILE]
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from potstill.devices import describe_machine, use_threads
from potstill.engine.generator import EngineGenerator
from potstill.engine.load import load_generator
from potstill.engine.params import EngineParams
from potstill.engine.stats import EngineStats
from potstill.hub.resolve import resolve
from potstill.models.export import save_decoder
from potstill.progress import Lines
from potstill.types import SamplingParams, TextRequest

BATCH = 32
TEXT = (
    "The committee said on Monday that heavy rain across the northern valleys had forced schools and small "
    "shops to close while crews cleared mud from the roads beside the river and the old bridge"
)


# The rival's arguments for each way of choosing a token, beside ours.
WAYS = {
    "top-p 0.9": (SamplingParams(top_p=0.9), {"do_sample": True, "top_k": 0, "top_p": 0.9}),
    "greedy": (SamplingParams(temperature=0), {"do_sample": False}),
}


def make_requests(count: int, way: SamplingParams) -> list[TextRequest]:
    rng = random.Random(1)
    return [
        TextRequest(
            " ".join(rng.choices(TEXT.split(), k=rng.randrange(10, 61))),
            replace(way, max_tokens=rng.randrange(16, 65), seed=seed),
        )
        for seed in range(count)
    ]


def tokens_per_second(
    write: Callable[[Sequence[TextRequest]], int], requests: Sequence[TextRequest]
) -> float:
    started = time.perf_counter()
    return write(requests) / (time.perf_counter() - started)


def engine_writer(generator: EngineGenerator) -> Callable[[Sequence[TextRequest]], int]:
    return lambda requests: sum(len(done.token_ids) for _, done in generator.complete(requests))


def transformers_model(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    return model, AutoTokenizer.from_pretrained(folder, padding_side="left")


def transformers_writer(
    model: Any, tokenizer: Any, way: dict[str, Any]
) -> Callable[[Sequence[TextRequest]], int]:
    def write(requests: Sequence[TextRequest]) -> int:
        num_tokens = 0
        for start in range(0, len(requests), BATCH):
            batch = requests[start : start + BATCH]
            limits = [request.sampling.max_tokens for request in batch]
            prompts = tokenizer([request.prompt for request in batch], return_tensors="pt", padding=True)
            with torch.inference_mode():
                written = model.generate(**prompts, **way, max_new_tokens=max(limits))
            written = written[:, prompts["input_ids"].shape[1] :]
            for row, limit in zip(written.tolist(), limits, strict=True):
                ends = [
                    index for index, token_id in enumerate(row) if token_id in (model.config.eos_token_id,)
                ]
                num_tokens += min(limit, ends[0] + 1 if ends else len(row))
        return num_tokens

    return write


def measure(model: str, num_requests: int, rounds: int) -> dict[str, Any]:
    use_threads()
    path = resolve(model, progress=Lines(sys.stderr)).path
    generator = load_generator(path, dtype="bf16", device="cpu", params=EngineParams(max_batch=BATCH))
    decoder: Any = generator.engine.decoder
    with tempfile.TemporaryDirectory() as folder:
        save_decoder(decoder.decoder, generator.tokenizer, Path(folder) / "model")
        rival = transformers_model(Path(folder) / "model")
    ways = {}
    for name, (sampling, arguments) in WAYS.items():
        requests = make_requests(num_requests, sampling)
        ways[name] = measure_way(generator, transformers_writer(*rival, arguments), requests, rounds)
    return {
        "subject": "decoding",
        "model": model,
        "requests": num_requests,
        "batch": BATCH,
        "ways": ways,
        "machine": describe_machine(),
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
    }


def measure_way(
    generator: EngineGenerator,
    rival: Callable[[Sequence[TextRequest]], int],
    requests: Sequence[TextRequest],
    rounds: int,
) -> dict[str, Any]:
    ours = engine_writer(generator)
    for write in (ours, rival):
        write([request._replace(sampling=SamplingParams(max_tokens=4)) for request in requests[:BATCH]])
    generator.engine.stats = EngineStats(kv_bytes=generator.engine.stats.kv_bytes)
    speeds: dict[str, list[float]] = {"potstill": [], "transformers": []}
    for _ in range(rounds):
        # In turns, so that what else the machine does meets both.
        speeds["potstill"].append(tokens_per_second(ours, requests))
        speeds["transformers"].append(tokens_per_second(rival, requests))
    decoder: Any = generator.engine.decoder
    weight_bytes = sum(p.numel() * p.element_size() for p in decoder.decoder.parameters())
    stats = generator.engine.stats
    return {
        "tokens_per_second": speeds,
        "ratio": statistics.median(speeds["potstill"]) / statistics.median(speeds["transformers"]),
        "engine": asdict(stats),
        "weights_gb_per_s": weight_bytes * stats.num_steps / stats.total_s / 1e9,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    found = measure(asked.model, asked.requests, asked.rounds)
    for way, result in found["ways"].items():
        print(f"{way:14} {'tokens/s':>9}   spread")
        for name, speeds in result["tokens_per_second"].items():
            print(f"{name:14} {statistics.median(speeds):9.0f}   {min(speeds):.0f} to {max(speeds):.0f}")
        print(f"{'ratio':14} {result['ratio']:9.1f}")
    print(json.dumps(found))
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
