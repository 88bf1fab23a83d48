"""Where does a token's time go? Tables and curves for readers, on GPT-2 with random weights.

One step at 1, 5 and 10 sequences of 20 tokens, against what was published for GPT-2 124M on another machine
(70, 220 and 400 ms: a step over whole sequences, without a cache) and against one sequence times their
number; attention written out against the fused one (published: three times as fast); eager layers against
compiled ones; each technique alone and all together; then what a token costs against context, batch and model
size, in int8, bfloat16 and float32.

    python benchmarks/bench_decode_steps.py [--quick] [--rounds 3] [--out FILE] [--charts FOLDER]
"""

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from decode_attention import measure_attention, measure_compiled
from decode_charts import write_charts
from decode_curves import BATCHES, CONTEXTS, MAX_POSITIONS, SHORT_PROMPT, SIZES, Curves
from decode_techniques import WAYS, Techniques, measure_step, model_of
from provenance import provenance

from potstill.devices import num_threads, use_threads

PUBLISHED_STEP_MS = {1: 70.0, 5: 220.0, 10: 400.0}
PUBLISHED_SDPA = 3.0
KINDS = ("int8", "bf16", "fp32")
COMPILING_TIMEOUT_S = 120


def measure(work: Path, rounds: int, quick: bool) -> dict[str, Any]:
    folders = {size.name: work / f"gpt2-{size.name}" for size in (SIZES[:1] if quick else SIZES)}
    here = Path(__file__).parent
    for size in SIZES:
        if size.name in folders and not folders[size.name].exists():
            command = [
                here / "decode_random_gpt2.py",
                folders[size.name],
                size.width,
                size.layers,
                MAX_POSITIONS,
            ]
            subprocess.run([sys.executable, *map(str, command)], check=True, capture_output=True, timeout=300)
    main_folder = folders[SIZES[0].name if quick else SIZES[1].name]
    repeats = 3 if quick else 20
    found: dict[str, Any] = {"model": f"GPT-2 {main_folder.name}, random weights"}
    found["attention"] = told("attention", lambda: measure_attention(repeats))
    found["compiled"] = told("compiled layers", lambda: compiled(main_folder, repeats))
    found["step"] = told("one step", lambda: steps(main_folder, repeats))
    found["techniques"] = told("techniques", lambda: techniques(main_folder, rounds, 8 if quick else 32))
    model_of.cache_clear()
    found["curves"] = told("curves", lambda: curves(folders, main_folder, rounds, quick))
    return found


def told(name: str, work: Callable[[], Any]) -> Any:
    """A part that fails is reported in place of its figures; the others go on."""
    started = time.monotonic()
    try:
        return work()
    except Exception as error:
        print(f"FAILED {name}: {error}", file=sys.stderr)
        return {"failed": f"{type(error).__name__}: {str(error)[:300]}"}
    finally:
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)


def compiled(folder: Path, repeats: int) -> dict[str, Any]:
    """In a process of its own, which is ended if the compiler takes too long."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, initializer=use_threads) as pool:
        found: dict[str, Any] = pool.apply_async(measure_compiled, (str(folder), repeats)).get(
            COMPILING_TIMEOUT_S
        )
        return found


def steps(folder: Path, repeats: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, dtype, is_native in (("torch fp32", "fp32", False), ("native int8", "int8", True)):
        took = {batch: measure_step(folder, dtype, is_native, batch, repeats) for batch in PUBLISHED_STEP_MS}
        for batch, figures in took.items():
            for what in ("whole", "cached"):
                linear = batch * took[1][f"{what}_ms"]
                figures[f"{what}_share_of_linear"] = figures[f"{what}_ms"] / linear
        found[name] = took
    return found


def techniques(folder: Path, rounds: int, num_tokens: int) -> dict[str, Any]:
    bench = Techniques(folder, num_tokens)
    speeds: dict[str, list[float]] = {name: [] for name in WAYS}
    warm = Techniques(folder, 2)
    for way in WAYS.values():
        warm.tokens_per_second(way)
    for _ in range(rounds):
        for name, way in WAYS.items():
            speeds[name].append(bench.tokens_per_second(way))
    plain = statistics.median(next(iter(speeds.values())))
    return {
        name: {
            "tokens_per_second": found,
            "median": statistics.median(found),
            "times_plain": statistics.median(found) / plain,
        }
        for name, found in speeds.items()
    }


def curves(folders: dict[str, Path], main_folder: Path, rounds: int, quick: bool) -> dict[str, Any]:
    contexts, batches, num_tokens = (CONTEXTS[:2], BATCHES[:3], 4) if quick else (CONTEXTS, BATCHES, 12)
    found: dict[str, Any] = {"context": {}, "batch": {}, "size": {}}
    for kind in KINDS:
        model = Curves(main_folder, kind)
        model.at(1, SHORT_PROMPT, 4)
        # The longest prompts take seconds and are run once.
        found["context"][kind] = {
            length: best(model, 1, length, num_tokens, rounds if length <= 512 else 1) for length in contexts
        }
        found["batch"][kind] = {
            count: best(model, count, SHORT_PROMPT, num_tokens, rounds) for count in batches
        }
        del model
    for size in SIZES:
        if size.name in folders:
            for kind in KINDS:
                model = Curves(folders[size.name], kind)
                model.at(1, SHORT_PROMPT, 4)
                figures = best(model, 1, SHORT_PROMPT, num_tokens, rounds)
                found["size"].setdefault(kind, {})[size.name] = {
                    **figures,
                    "weight_bytes": model.weight_bytes,
                }
    return found


def best(model: Curves, num_texts: int, num_prompt_tokens: int, num_tokens: int, rounds: int) -> Any:
    """The median of each figure over the rounds."""
    figures = [model.at(num_texts, num_prompt_tokens, num_tokens) for _ in range(rounds)]
    return {name: statistics.median(one[name] for one in figures) for name in figures[0]}


def print_tables(found: dict[str, Any]) -> None:
    for part in ("attention", "compiled"):
        for name, figures in found[part].items():
            print(f"{part:10} {name:24} {figures}")
    for name, figures in found["step"].items():
        print(f"{'step':10} {name:24} {figures}")
    for name, figures in found["techniques"].items():
        if isinstance(figures, dict):
            print(f"{name:40} {figures['median']:9.1f} tokens/s {figures['times_plain']:8.1f} times plain")
    for axis, kinds in found["curves"].items():
        for kind, points in kinds.items() if isinstance(kinds, dict) else ():
            row = "  ".join(f"{at}: {figures['token_ms']:.2f}" for at, figures in points.items())
            print(f"ms a token against {axis:8} {kind:5} {row}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the smallest model, few figures")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, help="where the random models are kept")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--charts", type=Path, help="the folder for decode_*.svg, such as docs/figures")
    asked = parser.parse_args()
    use_threads()
    took = "half a minute" if asked.quick else "five minutes"
    print(f"{num_threads()} threads; about {took}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(asked.work or Path(folder), 1 if asked.quick else asked.rounds, asked.quick)
    found = {
        "subject": "decode_steps",
        "quick": asked.quick,
        **found,
        "published": {"step_ms": PUBLISHED_STEP_MS, "sdpa": PUBLISHED_SDPA},
        **provenance(),
    }
    print_tables(found)
    if asked.charts:
        write_charts(found, asked.charts)
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
