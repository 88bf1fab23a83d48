"""Gemma 3 270M in 1, 8 and 32 streams: our engine, llama.cpp and transformers, each in a process of its own.

All write the same requests with the same weights, quantised or rounded from one file. Every rival first tries
its settings on a few short requests in this very run and keeps the fastest for each number of streams.
"""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import decode_workload as workload
from decode_bandwidth import bandwidths
from decode_child import Child, ChildError
from decode_figures import agreement, figures, ratios
from decode_options import Options
from decode_rounds import Cell, Rounds, fastest
from decode_workload import Request

from potstill.errors import PotstillError

# Streams and requests: a stream alone is slow, and a batch needs some waves to fill it.
NUM_REQUESTS = {1: 8, 8: 32, 32: 128}
INT8, BF16 = "potstill int8", "potstill bf16"
Q8, Q4 = "llama.cpp Q8_0", "llama.cpp Q4_K_M"
RIVAL_BF16, RIVAL_FP32 = "transformers bf16", "transformers fp32"
# What is compared takes part in every round; the rest is measured once, for scale.
ROUNDS = {
    1: {INT8: 9, Q8: 9, BF16: 1, Q4: 1, RIVAL_BF16: 1},
    8: {INT8: 9, Q8: 9, RIVAL_BF16: 9, BF16: 1, Q4: 1},
    32: {INT8: 9, Q8: 9, RIVAL_BF16: 9, BF16: 1},
}
# What ours in int8 is to be, times the speed of llama.cpp and of transformers.
AIMS = {"1 stream": (1.5, None), "8 streams": (2.0, 3.0), "32 streams": (4.0, 4.0)}
BANDWIDTH_AIM = 0.7
# The model's weights in int8, with their scales.
_ROUGHLY_BYTES = 285 << 20
_HERE = Path(__file__).parent
QUALITY_TOKENS = 384
LLAMA_VARIANTS: Sequence[Mapping[str, Any]] = (
    {"unified": True, "flash": True, "n_ubatch": 512},
    {"unified": False, "flash": True, "n_ubatch": 512},
    {"unified": True, "flash": False, "n_ubatch": 512},
    {"unified": True, "flash": True, "n_ubatch": 128},
)
TRANSFORMERS_VARIANTS: Sequence[Mapping[str, Any]] = (
    {"how": "static", "attention": "sdpa"},
    {"how": "static", "attention": "eager"},
    {"how": "continuous", "attention": "sdpa"},
)


def measure_decoder(options: Options) -> dict[str, Any]:
    started = time.monotonic()
    before = bandwidths(_ROUGHLY_BYTES)
    children, failures = start_systems(options)
    rounds = Rounds(children, started + 60 * options.decoder_minutes)
    rounds.failures += failures
    try:
        tuning = tune(options, rounds)
        quality = measure_quality(options, rounds)
        agreed = measure_agreement(options, rounds, tuning)
        if tuning["rival"] != RIVAL_FP32 and RIVAL_FP32 in rounds.children:
            rounds.children.pop(RIVAL_FP32).close()
        cells = make_cells(options, tuning)
        rounds.warm(cells, _short(32, options))
        rounds.measure(cells, options.rounds)
        after = bandwidths(_ROUGHLY_BYTES)
        bandwidth = {name: max(before[name], after[name]) for name in before}
        found = report(options, rounds, cells, tuning, bandwidth)
        return {**found, "quality": quality, "agreement": agreed}
    finally:
        for child in {**children, **rounds.children}.values():
            child.close()


def start_systems(options: Options) -> tuple[dict[str, Child], list[str]]:
    """What could be started, and lines about what could not."""
    children: dict[str, Child] = {}
    failures: list[str] = []
    for prepared in (_our_commands, _transformers_commands, _llama_commands):
        try:
            for name, command in prepared(options).items():
                children[name] = Child(name, command, options.log(name))
        except (ChildError, PotstillError, OSError, subprocess.SubprocessError) as error:
            failures.append(str(error))
            print(f"FAILED {error}", file=sys.stderr)
    return children, failures


def _our_commands(options: Options) -> dict[str, list[object]]:
    ours = [sys.executable, _HERE / "decode_potstill.py", options.threads, options.model_path]
    return {INT8: [*ours, "int8"], BF16: [*ours, "bf16"]}


def _transformers_commands(options: Options) -> dict[str, list[object]]:
    folder = options.work / "decoder"
    export(options.model_path, folder)
    rival = [sys.executable, _HERE / "decode_transformers.py", options.threads, folder]
    return {RIVAL_BF16: [*rival, "bf16"], RIVAL_FP32: [*rival, "fp32"]}


def _llama_commands(options: Options) -> dict[str, list[object]]:
    if options.llama_python is None:
        raise ChildError("llama.cpp: not measured, no --llama-python given")
    path, q8 = options.model_path, options.work / "decoder-q8_0.gguf"
    llama = [options.llama_python, _HERE / "decode_llama_cpp.py"]
    command = [*map(str, llama), "--quantize", str(path), str(q8)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return {Q8: [*llama, options.threads, q8], Q4: [*llama, options.threads, path]}


def export(path: Path, folder: Path) -> None:
    """The model's weights as float32 in Hugging Face layout."""
    import torch

    from potstill.models.export import save_decoder
    from potstill.models.load import load_decoder
    from potstill.tokenization.load import load_tokenizer

    if not folder.exists():
        decoder = load_decoder(path, dtype=torch.float32)
        save_decoder(decoder, load_tokenizer(path), folder, dtype=torch.float32)


def tune(options: Options, rounds: Rounds) -> dict[str, Any]:
    """`best` settings of each rival for each number of streams, and all that was `tried`."""
    best: dict[int, dict[str, Mapping[str, Any]]] = {}
    tried: dict[str, Any] = {}
    for num_streams in NUM_REQUESTS:
        cell = Cell("tuning", _short(num_streams, options), num_streams, {})
        best[num_streams] = {}
        names = [Q8, RIVAL_BF16] + ([RIVAL_FP32] if num_streams == 8 else [])
        for name in names:
            if (child := rounds.children.get(name)) is not None:
                variants = LLAMA_VARIANTS if name == Q8 else TRANSFORMERS_VARIANTS
                best[num_streams][name], tried[f"{name}, {_streams(num_streams)}"] = fastest(
                    child, cell, variants
                )
        if Q8 in best[num_streams]:
            best[num_streams][Q4] = best[num_streams][Q8]
    return {"best": best, "tried": tried, "rival": _better_dtype(tried)}


def _better_dtype(tried: Mapping[str, Any]) -> str:
    def speed(name: str) -> float:
        found = tried.get(f"{name}, {_streams(8)}", [])
        return max((one.get("tokens_per_second", 0.0) for one in found), default=0.0)

    return max((RIVAL_BF16, RIVAL_FP32), key=speed)


def make_cells(options: Options, tuning: Mapping[str, Any]) -> list[Cell]:
    cells = []
    for num_streams, count in NUM_REQUESTS.items():
        settings = dict(tuning["best"][num_streams])
        systems = {
            (tuning["rival"] if name == RIVAL_BF16 else name): rounds
            for name, rounds in ROUNDS[num_streams].items()
        }
        if tuning["rival"] == RIVAL_FP32:
            settings[RIVAL_FP32] = tuning["best"][8][RIVAL_FP32]
        requests = workload.load(max(count // 8, 2) if options.quick else count)
        if options.quick:
            requests = [Request(ids[:32], min(limit, 10)) for ids, limit in requests]
        cells.append(Cell(_streams(num_streams), requests, num_streams, systems, settings=settings))
    return cells


def measure_quality(options: Options, rounds: Rounds) -> dict[str, Any]:
    """Beside transformers in float32, after every position of one text that none of them wrote."""
    from potstill.tokenization.load import load_tokenizer

    tokenizer = load_tokenizer(options.model_path)
    ids = [tokenizer.bos_id, *tokenizer.encode(workload.PROSE.read_text())]
    text = {
        "token_ids": ids[: 32 if options.quick else QUALITY_TOKENS],
        "reference": str(options.work / "reference.npy"),
    }
    found: dict[str, Any] = {"reference": RIVAL_FP32}
    try:
        rounds.children[RIVAL_FP32].ask("reference", 120, token_ids=text["token_ids"], path=text["reference"])
    except (ChildError, KeyError) as error:
        return {"failed": str(error)}
    for name, child in list(rounds.children.items()):
        try:
            answer = child.ask("quality", 120, **text)
            found[name] = {key: answer[key] for key in ("positions", "top1_agreement", "mean_kl")}
        except ChildError as error:
            rounds.failures.append(f"quality: {error}")
    return found


def measure_agreement(options: Options, rounds: Rounds, tuning: Mapping[str, Any]) -> dict[str, Any]:
    """Do all write the same? Short greedy texts of every system beside those of transformers in float32."""
    requests = [Request(ids[:128], 8 if options.quick else 24) for ids, _ in workload.load(8)]
    systems = dict.fromkeys(rounds.children, 1)
    checked = Rounds(rounds.children, rounds.deadline)
    checked.measure([Cell("agreement", requests, 8, systems, settings=dict(tuning["best"][8]))], 1)
    rounds.failures += checked.failures
    return agreement(checked.found.get("agreement", {}), RIVAL_FP32)


def report(
    options: Options,
    rounds: Rounds,
    cells: Sequence[Cell],
    tuning: Mapping[str, Any],
    bandwidth: Mapping[str, float],
) -> dict[str, Any]:
    rival = tuning["rival"]
    compared = ratios(rounds, [(INT8, Q8), (INT8, rival), (BF16, Q8), (BF16, rival)])
    return {
        "model": options.model,
        "requests": {cell.name: _told(cell) for cell in cells},
        "bandwidth": bandwidth,
        "cells": {
            cell: {
                name: figures(measured, bandwidth["of_the_weights_size_gb_per_s"])
                for name, measured in systems.items()
            }
            for cell, systems in rounds.found.items()
        },
        "ratios": compared,
        "aims": {
            cell: {f"{INT8} / {Q8}": llama, f"{INT8} / {rival}": transformers}
            for cell, (llama, transformers) in AIMS.items()
        },
        "bandwidth_aim": BANDWIDTH_AIM,
        "rival": rival,
        "start": {
            name: {"seconds": child.seconds_to_start, **child.facts}
            for name, child in rounds.children.items()
        },
        "tuning": tuning,
        "failures": rounds.failures,
        "measurements_left_out_for_time": rounds.num_left_out,
    }


def _short(num_streams: int, options: Options) -> list[Request]:
    num_tokens = 4 if options.quick else 12
    return [Request(ids[:64], num_tokens) for ids, _ in workload.load(num_streams)]


def _told(cell: Cell) -> dict[str, int]:
    return {
        "num_requests": len(cell.requests),
        "prompt_tokens": workload.num_read(cell.requests),
        "output_tokens": cell.num_tokens,
        "num_streams": cell.num_streams,
    }


def _streams(count: int) -> str:
    return "1 stream" if count == 1 else f"{count} streams"
