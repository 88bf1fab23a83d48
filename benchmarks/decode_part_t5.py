"""A T5 shaped like Flan-T5 base, random weights: our engine and CTranslate2, each in a process of its own.

First batches of texts that are all equally long, greedily and with four beams; then requests that come one by
one, at random times: CTranslate2 takes what has arrived whenever it is free, our engine at every step. They
come at a share of the rate at which CTranslate2 has just gone through full batches: below it, latencies tell;
far above it, nobody ever waits for work, and the throughput tells.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import decode_workload as workload
from decode_child import Child, ChildError
from decode_figures import agreement, figures, ratios
from decode_options import Options
from decode_rounds import Cell, Rounds, ask
from decode_workload import num_written

# Our name of a type and theirs.
TYPES = {"int8": "int8", "fp32": "float32"}
# Requests for each size of a batch, greedily and with beams, which take several times as long.
NUM_REQUESTS = {1: {1: 4, 8: 16, 32: 32}, 4: {1: 2, 8: 8, 32: 32}}
NUM_TOKENS = 32
STREAMS = 32
# Times the rate of CTranslate2 in full batches.
LOADS = {("int8", 1): (0.8, 2.0), ("fp32", 1): (2.0,), ("int8", 4): (2.0,), ("fp32", 4): (2.0,)}
NUM_ARRIVALS = {1: 64, 4: 32}
KV_MIB = 1024
AIMS = {1: 0.9, 8: 0.9, 32: 1.0, "arrivals": 1.3}
# It chooses a library for its products by the maker of the processor, not by speed.
RIVAL_ENVIRONMENTS: Sequence[Mapping[str, str]] = (
    {},
    {"CT2_USE_MKL": "1"},
    {"CT2_USE_MKL": "1", "CT2_USE_EXPERIMENTAL_PACKED_GEMM": "1"},
)


def measure_t5(options: Options) -> dict[str, Any]:
    started = time.monotonic()
    prepare(options)
    rounds = Rounds({}, started + 60 * options.t5_minutes)
    try:
        tuning = start_systems(options, rounds)
        closed = closed_cells(options)
        requests = workload.load_translations(STREAMS, 4)
        rounds.warm(closed, requests)
        rounds.measure(closed, 1)
        open_cells = arrival_cells(options, rounds)
        rounds.measure(open_cells, 1)
        rounds.measure([*closed, *open_cells], options.rounds - 1)
        return report(options, rounds, [*closed, *open_cells], tuning)
    finally:
        for child in rounds.children.values():
            child.close()


def prepare(options: Options) -> None:
    """The model in both layouts, each made by its own library in a process that ends."""
    here, folder = Path(__file__).parent, _folder(options)
    steps: list[list[object]] = [[here / "decode_random_t5.py", folder, "small" if options.quick else "base"]]
    steps += [
        [here / "decode_ctranslate2.py", "--convert", folder, _folder(options, theirs), theirs]
        for theirs in TYPES.values()
    ]
    for step in steps:
        if not Path(str(step[-2])).exists():
            subprocess.run([sys.executable, *map(str, step)], check=True, capture_output=True, timeout=300)


def start_systems(options: Options, rounds: Rounds) -> dict[str, Any]:
    """Start everything; of the rival's libraries the fastest stays for each type. What was tried."""
    here = Path(__file__).parent
    tried: dict[str, Any] = {}
    for ours, theirs in TYPES.items():
        command = [
            sys.executable,
            here / "decode_potstill.py",
            options.threads,
            _folder(options),
            ours,
            KV_MIB,
        ]
        _start(rounds, options, f"potstill {ours}", command, {})
        rival = f"ctranslate2 {ours}"
        command = [
            sys.executable, here / "decode_ctranslate2.py", options.threads, _folder(options, theirs), theirs
        ]  # fmt: skip
        tried[rival] = []
        best = 0.0
        for environment in RIVAL_ENVIRONMENTS:
            kept = rounds.children.pop(rival, None)
            speed = _start(rounds, options, rival, command, environment)
            tried[rival].append({"environment": dict(environment), "tokens_per_second": speed})
            slower = kept
            if kept is not None and speed <= best:
                slower, rounds.children[rival] = rounds.children.get(rival), kept
            if slower is not None:
                slower.close()
            best = max(best, speed)
    return tried


def _start(
    rounds: Rounds, options: Options, name: str, command: Sequence[object], environment: Mapping[str, str]
) -> float:
    """Its tokens a second, alone and in a batch of 8, as a geometric mean; 0 where it does not run."""
    try:
        child = Child(name, command, options.log(name), env={**os.environ, **environment})
        rounds.children[name] = child
        speeds = []
        for num_streams in (1, 8):
            requests = workload.load_translations(num_streams, 12)
            cell = Cell("tuning", requests, num_streams, {})
            ask(child, cell)
            speeds.append(cell.num_tokens / ask(child, cell)["seconds"])
        return statistics.geometric_mean(speeds)
    except ChildError as error:
        rounds.failures.append(str(error))
        print(f"FAILED {error}", file=sys.stderr)
        return 0.0


def closed_cells(options: Options) -> list[Cell]:
    cells = []
    for beams, batches in NUM_REQUESTS.items():
        for kind in TYPES:
            for num_streams, count in batches.items():
                rounds = _most_rounds(kind, beams)
                requests = workload.load_translations(count, 8 if options.quick else NUM_TOKENS)
                cells.append(
                    Cell(
                        f"{_told(kind, beams)}, batch {num_streams}",
                        requests,
                        num_streams,
                        {f"potstill {kind}": rounds, f"ctranslate2 {kind}": rounds},
                        arguments={"num_beams": beams},
                    )
                )
    return cells


def arrival_cells(options: Options, rounds: Rounds) -> list[Cell]:
    """At rates that follow from what the first round has measured, and then stay."""
    cells = []
    for (kind, beams), loads in LOADS.items():
        full = rounds.found.get(f"{_told(kind, beams)}, batch {STREAMS}", {}).get(f"ctranslate2 {kind}")
        if full is None:
            continue
        # Beams cannot be ended one by one there, so their texts are equally long.
        arrivals = workload.load_arrivals(
            16 if options.quick else NUM_ARRIVALS[beams], None if beams == 1 else NUM_TOKENS
        )
        mean_tokens = num_written(arrivals.requests) / len(arrivals.requests)
        for load in loads:
            rate = load * full.tokens_per_second[0] / mean_tokens
            cells.append(
                Cell(
                    f"{_told(kind, beams)}, arrivals at {load:g}",
                    arrivals.requests,
                    STREAMS,
                    dict.fromkeys(_pair(kind), _most_rounds(kind, beams)),
                    question="arrive",
                    arguments={"num_beams": beams, "at": arrivals.times(rate)},
                )
            )
    return cells


def _most_rounds(kind: str, beams: int) -> int:
    """The slowest are measured once."""
    return 1 if kind == "fp32" and beams > 1 else 9


def report(
    options: Options, rounds: Rounds, cells: Sequence[Cell], tuning: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "shape": "small" if options.quick else "base",
        "requests": {
            cell.name: {
                "num_requests": len(cell.requests),
                "output_tokens": cell.num_tokens,
                "num_streams": cell.num_streams,
                **({"last_arrival_s": cell.arguments["at"][-1]} if "at" in cell.arguments else {}),
            }
            for cell in cells
        },
        "cells": {
            cell: {name: figures(measured) for name, measured in systems.items()}
            for cell, systems in rounds.found.items()
        },
        "ratios": ratios(rounds, [_pair(kind) for kind in TYPES]),
        "aims": {cell.name: {" / ".join(cell.systems): _aim(cell)} for cell in cells},
        "start": {
            name: {"seconds": child.seconds_to_start, **child.facts}
            for name, child in rounds.children.items()
        },
        "tuning": tuning,
        "agreement": {
            cell: agreement(systems, next((name for name in systems if "ctranslate2" in name), ""))
            for cell, systems in rounds.found.items()
        },
        "failures": rounds.failures,
        "measurements_left_out_for_time": rounds.num_left_out,
    }


def _aim(cell: Cell) -> float | None:
    if cell.question == "run":
        return AIMS[cell.num_streams]
    # Below saturation both write what arrives.
    return AIMS["arrivals"] if cell.name.endswith("at 2") else None


def _pair(kind: str) -> tuple[str, str]:
    return f"potstill {kind}", f"ctranslate2 {kind}"


def _told(kind: str, beams: int) -> str:
    return f"{kind}, {'greedy' if beams == 1 else f'{beams} beams'}"


def _folder(options: Options, theirs: str | None = None) -> Path:
    name = "t5-small" if options.quick else "t5-base"
    return options.work / (name if theirs is None else f"{name}-{theirs}")
