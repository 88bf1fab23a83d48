"""What do constraints cost, and do they hold? JSON schemas of growing size, and words that must occur.

On what: Gemma 3 270M. 200 schemas of 1 to 23 fields (schemas.py), drawn at temperature 0.7, in one stream and
eight: the share of texts that are valid, the time to compile a schema, and the time a token takes beside
texts without a grammar of the same lengths. Beside llama.cpp (Q8_0) with its own grammar from the same
schemas, and itself without. 200 items of CommonGen: the share of concepts that occur, log-probabilities a
token beside a free search of as many beams, seconds a sentence.

    python benchmarks/bench_constraints.py --data FOLDER [--llama-python ENV/bin/python] [--out FILE]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import schemas
from constraints_phrases import measure_phrases
from decode_child import Child, ChildError
from provenance import provenance

from potstill.constraints.compile import GrammarCompiler
from potstill.devices import use_threads
from potstill.engine.engine import Engine
from potstill.engine.generator import EngineGenerator
from potstill.engine.load import load_generator
from potstill.engine.params import EngineParams
from potstill.engine.stats import EngineStats
from potstill.hub.resolve import resolve
from potstill.progress import Lines
from potstill.types import Completion, Grammar, SamplingParams, TextRequest

PROMPT = "Here is one record of our catalogue as JSON, with every field filled in:\n"
SAMPLING = SamplingParams(temperature=0.7, top_p=0.9, max_tokens=1024)
# llama.cpp looks at every schema alone, and its larger grammars take long.
NUM_RIVAL_SCHEMAS = 10
_HERE = Path(__file__).parent


def measure_schemas(
    path: Path, dtype: Any, num_streams: int, drawn: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    params = EngineParams(max_batch=num_streams)
    generator = load_generator(path, dtype=dtype, params=params)
    requests = [
        TextRequest(PROMPT, SAMPLING.with_seed(seed), Grammar("json_schema", json.dumps(schema)))
        for seed, schema in enumerate(drawn)
    ]
    written, seconds, stats = _write(generator, requests)
    # The same number of tokens each without a grammar: what the texts would cost.
    free = [
        TextRequest(PROMPT, replace(request.sampling, max_tokens=len(one.token_ids)))
        for request, one in zip(requests, written, strict=True)
    ]
    endless = EngineGenerator(Engine(generator.engine.decoder, params), generator.tokenizer)
    plain, plain_seconds, plain_stats = _write(endless, free)
    num_tokens, num_plain = _num_tokens(written), _num_tokens(plain)
    failures = [
        {"schema": index, "why": why, "finish_reason": one.finish_reason}
        for index, (schema, one) in enumerate(zip(drawn, written, strict=True))
        if (why := _why_invalid(schema, one.text))
    ]
    return {
        "num_schemas": len(drawn),
        "num_valid": len(drawn) - len(failures),
        "failures": failures[:10],
        "num_tokens": num_tokens,
        "ms_per_token": 1000 * seconds / num_tokens,
        "ms_per_token_free": 1000 * plain_seconds / num_plain,
        "time_over_free": (seconds / num_tokens) / (plain_seconds / num_plain),
        "num_steps": stats["num_steps"],
        "num_steps_free": plain_stats["num_steps"],
        "engine": stats,
    }


def _write(
    generator: EngineGenerator, requests: Sequence[TextRequest]
) -> tuple[list[Completion], float, dict[str, Any]]:
    for _ in generator.complete([requests[0]]):
        pass
    before, stats = copy(generator.engine.stats), EngineStats()
    started = time.perf_counter()
    found = dict(generator.complete(requests))
    seconds = time.perf_counter() - started
    stats.add(generator.engine.stats)
    stats.add(before, -1)
    return [found[index] for index in range(len(requests))], seconds, dict(stats.as_dict())


def _why_invalid(schema: dict[str, Any], text: str) -> str | None:
    try:
        jsonschema.validate(json.loads(text), schema)
    except (ValueError, jsonschema.ValidationError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
    return None


def _num_tokens(written: Sequence[Completion]) -> int:
    return sum(len(one.token_ids) for one in written)


def measure_compiling(path: Path, drawn: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Milliseconds from a schema's text to its first mask; the vocabulary is prepared once, before."""
    generator = load_generator(path, dtype="int8", params=EngineParams(max_batch=1))
    started = time.perf_counter()
    compiler = GrammarCompiler(generator.tokenizer, generator.engine.decoder.vocab_size)
    compiler.compile(Grammar("regex", "a")).allowed()
    vocabulary_s = time.perf_counter() - started
    times = []
    for schema in drawn:
        grammar = Grammar("json_schema", json.dumps(schema))
        started = time.perf_counter()
        compiler.compile(grammar).allowed()
        times.append(1000 * (time.perf_counter() - started))
    ranked = sorted(times)
    return {
        "vocabulary_s": vocabulary_s,
        "median_ms": statistics.median(times),
        "p95_ms": ranked[int(0.95 * len(ranked))],
        "most_ms": ranked[-1],
        "median_ms_of_the_largest_20": statistics.median(times[-20:]),
    }


def measure_rival(asked: argparse.Namespace, path: Path, work: Path, drawn: Sequence[Any]) -> dict[str, Any]:
    if asked.llama_python is None:
        return {"failed": "no --llama-python given"}
    q8 = work / "decoder-q8_0.gguf"
    quantise = [asked.llama_python, _HERE / "decode_llama_cpp.py", "--quantize", path, q8]
    subprocess.run(list(map(str, quantise)), check=True, capture_output=True, timeout=120)
    command = [asked.llama_python, _HERE / "constraints_llama_cpp.py", use_threads(), q8]
    child = Child("llama.cpp", command, work / "llama.log")
    try:
        few = list(drawn)[:: max(len(drawn) // NUM_RIVAL_SCHEMAS, 1)]
        common = {"prompt": PROMPT, "temperature": SAMPLING.temperature}
        found = child.ask("write", 500, schemas=few, max_tokens=SAMPLING.max_tokens, **common)
        free = child.ask("write", 300, schemas=[None] * 5, max_tokens=128, **common)
    except ChildError as error:
        return {"failed": str(error)}
    finally:
        child.close()
    ours = 1000 * sum(found["seconds"]) / sum(found["num_tokens"])
    plain = 1000 * sum(free["seconds"]) / sum(free["num_tokens"])
    return {
        "num_schemas": len(few),
        "num_valid": sum(
            _why_invalid(schema, text) is None for schema, text in zip(few, found["texts"], strict=True)
        ),
        "ms_per_token": ours,
        "ms_per_token_free": plain,
        "time_over_free": ours / plain,
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument("--data", type=Path, required=True, help="the folder of data sets")
    parser.add_argument("--llama-python", type=Path)
    parser.add_argument("--only", choices=["schemas", "phrases"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def main() -> None:
    asked = parse()
    use_threads()
    path = resolve(asked.model, progress=Lines(sys.stderr)).path
    found: dict[str, Any] = {"subject": "constraints", "quick": asked.quick, "model": asked.model}
    if asked.only != "phrases":
        found["schemas"] = schemas_part(asked, path)
    if asked.only != "schemas":
        found["phrases"] = measure_phrases(path, asked.data, 8 if asked.quick else 200)
    found |= provenance()
    print(
        json.dumps(found if asked.quick else {"machine": found["machine"], "out": str(asked.out)}, indent=1)
    )
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")


def schemas_part(asked: argparse.Namespace, path: Path) -> dict[str, Any]:
    drawn = schemas.draw(200)
    drawn = drawn[::25] if asked.quick else drawn
    found: dict[str, Any] = {
        "fields": [schemas.num_fields(schema) for schema in drawn],
        "compiling": measure_compiling(path, drawn),
    }
    for num_streams in (1, 8):
        # One stream takes the time of eight, so it sees every fourth schema.
        few = drawn[::4] if num_streams == 1 and not asked.quick else drawn
        found[f"int8, {num_streams} streams"] = measure_schemas(path, "int8", num_streams, few)
        print(
            f"{num_streams} streams: {found[f'int8, {num_streams} streams']['num_valid']} valid",
            file=sys.stderr,
        )
    with tempfile.TemporaryDirectory() as folder:
        found["llama.cpp Q8_0, 1 stream"] = measure_rival(asked, path, Path(folder), drawn)
    return found


if __name__ == "__main__":
    main()
