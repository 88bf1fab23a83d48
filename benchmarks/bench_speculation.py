"""Do drafts make writing faster, and where? Beside plain decoding, and beside what others do of the kind.

On what: Gemma 3 270M, greedily, on summaries of a text in the prompt (xsum, cnn_dailymail), code, chat and
records that repeat themselves; one stream and eight. Against what: the same engine without drafts, in turns
with it; llama.cpp (Q8_0) with its prompt lookup over llama_batch, transformers with its own, each at the
better of two settings and beside itself without. Ceiling: what a step of several positions costs over one of
a single position, measured first. Every text of ours is held against the one written without drafts: they
are the same, or the run fails.

    python benchmarks/bench_speculation.py --data FOLDER --llama-python ENV/bin/python [--alone] [--out FILE]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import speculation_workload as workload
from decode_child import Child, ChildError
from decode_options import Options
from decode_part_decoder import export
from provenance import provenance

from potstill.devices import use_threads
from potstill.hub.resolve import resolve
from potstill.progress import Lines
from potstill.tokenization.load import load_tokenizer

INT8, BF16 = "potstill int8", "potstill bf16"
LLAMA, TRANSFORMERS = "llama.cpp Q8_0", "transformers bf16"
PLAIN = "plain"
DRAFTS = ("prompt-lookup", "infinigram", "infinigram, index", "lookahead")
AIMS = {"grounded": 1.2, "repetitive tokens a step": 2.0, "never under": 0.97}
STEP_POSITIONS = (1, 2, 4, 8, 12, 16)
TIMEOUT_S = 400.0
_HERE = Path(__file__).parent


class Variant(NamedTuple):
    """A way to write: a child and its settings; `baseline` is the variant it is compared with."""

    child: str
    name: str
    settings: Mapping[str, Any]

    @property
    def told(self) -> str:
        return f"{self.child}, {self.name}"


class Cell(NamedTuple):
    kind: str
    num_streams: int
    requests: list[workload.Prompt]

    @property
    def told(self) -> str:
        return f"{self.kind}, {self.num_streams} stream{'s' if self.num_streams > 1 else ''}"


@dataclass
class Found:
    """Of one variant in one cell, an entry a round."""

    seconds: list[float] = field(default_factory=list)
    decode_seconds: list[float] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)


class Bench:
    def __init__(self, children: Mapping[str, Child], indexes: Mapping[str, str], deadline: float) -> None:
        self.children, self.indexes, self.deadline = dict(children), indexes, deadline
        self.found: dict[str, dict[str, Found]] = {}
        self.failures: list[str] = []
        self.num_left_out = 0

    def measure(self, cells: Sequence[Cell], num_rounds: int) -> None:
        for index in range(num_rounds):
            for cell in cells:
                variants = [one for one in self.variants(cell) if index == 0 or _is_repeated(one)]
                # Nobody is always first.
                for variant in variants[index % len(variants) :] + variants[: index % len(variants)]:
                    self._measure_one(cell, variant)

    def variants(self, cell: Cell) -> Iterator[Variant]:
        for child in (INT8, BF16):
            yield Variant(child, PLAIN, {})
            for draft in DRAFTS:
                settings = {"draft": draft.split(",")[0]}
                if "index" in draft:
                    domain = workload.DOMAINS.get(cell.kind)
                    if domain not in self.indexes:
                        continue
                    settings["index"] = self.indexes[domain]
                if child == INT8 or draft == "prompt-lookup":
                    yield Variant(child, draft, settings)
        for num_draft in (0, 2, 10):
            name = f"lookup of {num_draft}" if num_draft else PLAIN
            yield Variant(LLAMA, name, {"num_draft": num_draft})
            if cell.num_streams == 1:
                yield Variant(TRANSFORMERS, name, {"num_draft": num_draft})

    def _measure_one(self, cell: Cell, variant: Variant) -> None:
        child = self.children.get(variant.child)
        if child is None:
            return
        if time.monotonic() > self.deadline:
            self.num_left_out += 1
            return
        try:
            answer = child.ask(
                "run",
                TIMEOUT_S,
                requests=cell.requests,
                num_streams=cell.num_streams,
                settings=variant.settings,
            )
        except ChildError as error:
            self.failures.append(f"{cell.told}, {variant.told}: {error}")
            print(f"FAILED {self.failures[-1]}", file=sys.stderr)
            return
        found = self.found.setdefault(cell.told, {}).setdefault(variant.told, Found())
        found.seconds.append(answer["seconds"])
        found.decode_seconds.append(answer.get("times", {}).get("decode_s", 0.0))
        found.answer = answer
        self._check_same(cell, variant)
        speed = sum(len(one) for one in answer["outputs"]) / answer["seconds"]
        print(f"{cell.told:26} {variant.told:42} {speed:8.1f} tokens/s", file=sys.stderr)

    def _check_same(self, cell: Cell, variant: Variant) -> None:
        """Ours must be the same texts; of others it is told how many are."""
        cells = self.found[cell.told]
        plain = cells.get(f"{variant.child}, {PLAIN}")
        if plain is None or variant.name == PLAIN:
            return
        found = cells[variant.told]
        pairs = zip(found.answer["outputs"], plain.answer["outputs"], strict=True)
        found.answer["num_same"] = sum(one == other for one, other in pairs)
        if variant.child in (INT8, BF16) and found.answer["num_same"] < len(plain.answer["outputs"]):
            raise SystemExit(f"{cell.told}: {variant.told} wrote other texts than without drafts.")


def _is_repeated(variant: Variant) -> bool:
    """What is compared takes part in every round; the rest is measured once, for scale."""
    return variant.child in (INT8, LLAMA)


def start(options: Options, *, alone: bool) -> tuple[dict[str, Child], list[str]]:
    """Every system in a process of its own, or ours in int8 `alone`."""
    ours = [sys.executable, _HERE / "speculation_potstill.py", options.threads, options.model_path]
    if alone:
        return {INT8: Child(INT8, [*ours, "int8"], options.log(INT8))}, []
    folder = options.work / "decoder"
    export(options.model_path, folder)
    commands: dict[str, list[object]] = {
        INT8: [*ours, "int8"],
        BF16: [*ours, "bf16"],
        TRANSFORMERS: [
            sys.executable,
            _HERE / "speculation_transformers.py",
            options.threads,
            folder,
            "bf16",
        ],
    }
    if options.llama_python is not None:
        q8 = options.work / "decoder-q8_0.gguf"
        quantise = [options.llama_python, _HERE / "decode_llama_cpp.py", "--quantize", options.model_path, q8]
        subprocess.run(list(map(str, quantise)), check=True, capture_output=True, timeout=120)
        commands[LLAMA] = [options.llama_python, _HERE / "speculation_llama_cpp.py", options.threads, q8]
    children, failures = {}, []
    for name, command in commands.items():
        try:
            children[name] = Child(name, command, options.log(name))
        except (ChildError, OSError) as error:
            failures.append(str(error))
    return children, failures


def build_indexes(options: Options, data: Path) -> dict[str, str]:
    """An index of each domain, in the model's tokens; what was built before is used again."""
    indexes = {}
    for domain in sorted(set(workload.DOMAINS.values())):
        out = options.work / f"{domain}.index"
        if not out.exists():
            files = workload.domain_files(domain, data, options.work)
            command = [sys.executable, "-m", "potstill", "index", "build", *files]
            command += ["--tokenizer", options.model_path, "--out", out, "--quiet"]
            subprocess.run(list(map(str, command)), check=True, timeout=600)
        indexes[domain] = str(out)
    return indexes


def report(bench: Bench, cells: Sequence[Cell]) -> dict[str, Any]:
    told = {}
    for cell in cells:
        found = bench.found.get(cell.told, {})
        told[cell.told] = {
            name: _figures(one, found.get(f"{name.split(', ')[0]}, {PLAIN}"), cell)
            for name, one in found.items()
        }
    return told


def _figures(found: Found, plain: Found | None, cell: Cell) -> dict[str, Any]:
    num_tokens = sum(len(one) for one in found.answer["outputs"])
    figures: dict[str, Any] = {
        "tokens_per_s": num_tokens / statistics.median(found.seconds),
        "tokens_per_s_spread": sorted(num_tokens / one for one in found.seconds),
        "num_rounds": len(found.seconds),
    }
    if any(found.decode_seconds):
        figures["decode_s"] = statistics.median(found.decode_seconds)
    stats = found.answer.get("engine", {})
    num_steps = found.answer.get("num_steps") or stats.get("num_steps")
    if num_steps and cell.num_streams == 1:
        # The step that reads a prompt writes its first token.
        figures["tokens_per_step"] = num_tokens / num_steps
    figures |= {
        name: stats[name]
        for name in stats
        if "draft" in name or "accepted" in name or name == "tokens_per_row"
    }
    if "num_same" in found.answer:
        figures["num_same_as_plain"] = found.answer["num_same"]
    if plain is not None and plain is not found:
        ratios = [ours / other for other, ours in zip(found.seconds, plain.seconds, strict=False)]
        figures["speed_over_plain"] = statistics.median(ratios)
        figures["speed_over_plain_spread"] = [min(ratios), max(ratios)]
        if any(found.decode_seconds) and any(plain.decode_seconds):
            pairs = zip(found.decode_seconds, plain.decode_seconds, strict=False)
            figures["decode_speed_over_plain"] = statistics.median([other / ours for ours, other in pairs])
    return figures


def measure_steps(bench: Bench, quick: bool) -> dict[str, dict[str, float]]:
    """Milliseconds of a step of so many positions, all with logits; the median of some dozens."""
    told: dict[str, dict[str, float]] = {}
    for name in (INT8, BF16):
        if (child := bench.children.get(name)) is not None:
            for count in STEP_POSITIONS:
                answer = child.ask("step_times", 60, num_positions=count, num_repeats=3 if quick else 40)
                told.setdefault(name, {})[str(count)] = 1000 * statistics.median(answer["seconds"])
    return told


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument("--data", type=Path, required=True, help="the folder of data sets")
    parser.add_argument("--llama-python", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=14)
    parser.add_argument("--work", type=Path, help="where indexes, converted models and logs are kept")
    parser.add_argument("--alone", action="store_true", help="ours in int8 and no other system: more rounds")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def main() -> None:
    asked = parse()
    with tempfile.TemporaryDirectory() as folder:
        work = asked.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        path = resolve(asked.model, progress=Lines(sys.stderr)).path
        options = Options(
            asked.model, path, work, asked.llama_python, use_threads(), asked.rounds, asked.quick, 0, 0
        )
        found = measure(asked, options)
    found |= {"subject": "speculation", "quick": asked.quick, "aims": AIMS, **provenance()}
    print(json.dumps({"machine": found["machine"], "commit": found["commit"], "out": str(asked.out)}))
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")


def measure(asked: argparse.Namespace, options: Options) -> dict[str, Any]:
    indexes = build_indexes(options, asked.data)
    encode = load_tokenizer(options.model_path).encode
    counts = {1: 2, 8: 8} if asked.quick else {1: 6, 8: 16}
    num_tokens = 16 if asked.quick else workload.NUM_TOKENS
    cells = [
        Cell(kind, num_streams, workload.prompts(kind, asked.data, encode, count, num_tokens))
        for kind in workload.KINDS
        for num_streams, count in counts.items()
    ]
    children, failures = start(options, alone=asked.alone)
    bench = Bench(children, indexes, time.monotonic() + 60 * asked.minutes)
    bench.failures += failures
    try:
        steps = measure_steps(bench, asked.quick)
        warm = [
            cell._replace(requests=[workload.Prompt(one.prompt_ids[:64], 4) for one in cell.requests[:2]])
            for cell in cells
        ]
        Bench(children, indexes, bench.deadline).measure(warm, 1)
        bench.measure(cells, 1 if asked.quick else asked.rounds)
    finally:
        for child in children.values():
            child.close()
    return {
        "model": options.model,
        "steps_ms": steps,
        "cells": report(bench, cells),
        "requests": {
            cell.told: {
                "num_requests": len(cell.requests),
                "prompt_tokens": sum(len(one.prompt_ids) for one in cell.requests),
                "output_tokens": sum(one.num_tokens for one in cell.requests),
            }
            for cell in cells
        },
        "failures": bench.failures,
        "measurements_left_out_for_time": bench.num_left_out,
    }


if __name__ == "__main__":
    main()
