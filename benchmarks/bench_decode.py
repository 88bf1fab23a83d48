"""How fast does the engine write, beside the fastest that others have, on the same requests in the same run?

On what: Gemma 3 270M in int8 and bfloat16, in 1, 8 and 32 streams (decode_part_decoder.py), and a T5 shaped
like Flan-T5 base in int8 and float32, greedily and with four beams, in batches and as requests arrive
(decode_part_t5.py). Against what: llama.cpp over llama_batch with as many sequences (Q8_0 of the same
weights), transformers' better of static batches and continuous batching, CTranslate2. Every system has the
same tokens to read, the same number to write, and as many threads; each lives in a process of its own, is
tuned and warmed up first, and is measured in turns with the others. Ceiling: a step reads the weights once,
so tokens a second in one stream are at most this machine's bandwidth over their bytes.

    python benchmarks/bench_decode.py --llama-python ENV/bin/python [--only decoder|t5] [--quick] [--out FILE]

llama-cpp-python is compiled where it is installed; it has an environment of its own, and is built there with
-DGGML_NATIVE=OFF and the processor's flags where the build for this machine crashes.
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from decode_options import Options
from decode_part_decoder import measure_decoder
from decode_part_t5 import measure_t5
from decode_report import lines
from provenance import provenance

from potstill.devices import num_threads, use_threads
from potstill.hub.resolve import resolve
from potstill.progress import Lines

PARTS = {"decoder": measure_decoder, "t5": measure_t5}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument(
        "--llama-python", type=Path, help="the Python of an environment with llama-cpp-python"
    )
    parser.add_argument("--only", choices=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--decoder-minutes", type=float, default=9)
    parser.add_argument("--t5-minutes", type=float, default=6)
    parser.add_argument("--work", type=Path, help="where converted models and logs are kept")
    parser.add_argument("--quick", action="store_true", help="a few short requests: does everything run?")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def measure(asked: argparse.Namespace, work: Path) -> dict[str, Any]:
    options = Options(
        model=asked.model,
        model_path=resolve(asked.model, progress=Lines(sys.stderr)).path,
        work=work,
        llama_python=asked.llama_python,
        threads=use_threads(),
        rounds=1 if asked.quick else asked.rounds,
        quick=asked.quick,
        decoder_minutes=asked.decoder_minutes,
        t5_minutes=asked.t5_minutes,
    )
    work.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Any] = {}
    for name, measure_part in PARTS.items():
        if asked.only in (None, name):
            started = time.monotonic()
            try:
                parts[name] = measure_part(options)
            except Exception as error:
                traceback.print_exc()
                parts[name] = {"failed": f"{type(error).__name__}: {str(error)[:300]}"}
            parts[name]["took_s"] = time.monotonic() - started
    return parts


def main() -> None:
    asked = parse()
    bounds = {"decoder": asked.decoder_minutes, "t5": asked.t5_minutes}
    minutes = sum(bounds[name] for name in PARTS if asked.only in (None, name))
    print(
        f"{num_threads()} threads; rounds are cut off after {minutes:g} minutes in all"
        + (", --quick takes about two" if asked.quick else ""),
        file=sys.stderr,
    )
    with tempfile.TemporaryDirectory() as folder:
        parts = measure(asked, asked.work or Path(folder))
    found = {
        "subject": "decode",
        "quick": asked.quick,
        **parts,
        **provenance(),
    }
    print("\n".join(lines(found)))
    print(json.dumps({"machine": found["machine"], "commit": found["commit"], "out": str(asked.out)}))
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
