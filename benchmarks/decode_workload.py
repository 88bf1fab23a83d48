"""The requests of bench_decode.py: drawn once, kept in workloads/decode.json, the same for every system.

128 requests for a decoder: prompts of 16 to 256 tokens (sentences of workloads/prose.txt in random order, cut
to length in the model's own tokens, BOS not counted), each with its own number of tokens to write, 8 to 128.
64 for an encoder-decoder, whose ids are folded into its smaller vocabulary, with the gaps between their
arrivals. Nothing here needs more than the standard library, since rivals read it from their own environments.

    python benchmarks/decode_workload.py --model gemma-3-270m      (draws; refuses where the file exists)
"""

import argparse
import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).parent / "workloads" / "decode.json"
PROSE = Path(__file__).parent / "workloads" / "prose.txt"
SEED = 20_261
NUM_REQUESTS = 128
PROMPT_TOKENS = (16, 256)
OUTPUT_TOKENS = (8, 128)
NUM_TRANSLATIONS = 64
SOURCE_TOKENS = (16, 128)
TARGET_TOKENS = (8, 64)
# T5's vocabulary begins with padding, the end of a text and the unknown token.
FIRST_T5_ID, NUM_T5_IDS, T5_EOS = 3, 32_000, 1


class Request(NamedTuple):
    """A prompt, and how many tokens are written after it: never fewer, since no token ends a text."""

    prompt_ids: list[int]
    num_tokens: int


class Arrivals(NamedTuple):
    """`gaps` have the mean 1; times are their sums over the rate."""

    requests: list[Request]
    gaps: list[float]

    def times(self, per_second: float) -> list[float]:
        total, times = 0.0, []
        for gap in self.gaps[: len(self.requests)]:
            total += gap / per_second
            times.append(total)
        return times


def load(count: int = NUM_REQUESTS) -> list[Request]:
    """`count` of the decoder's requests, evenly far apart."""
    return evenly([Request(*entry) for entry in _kept()["requests"]], count)


def load_translations(count: int = NUM_TRANSLATIONS, num_tokens: int | None = None) -> list[Request]:
    """The encoder-decoder's requests; each writes `num_tokens`, or as many as were drawn for it."""
    folded = [
        Request([*(FIRST_T5_ID + token_id % NUM_T5_IDS for token_id in ids), T5_EOS], num_tokens or drawn)
        for ids, drawn in _kept()["translations"]
    ]
    return evenly(folded, count)


def load_arrivals(count: int = NUM_TRANSLATIONS, num_tokens: int | None = None) -> Arrivals:
    return Arrivals(load_translations(count, num_tokens), _kept()["gaps"])


def evenly(requests: Sequence[Request], count: int) -> list[Request]:
    step = len(requests) / min(count, len(requests))
    return [requests[int(index * step)] for index in range(min(count, len(requests)))]


def num_written(requests: Sequence[Request]) -> int:
    return sum(request.num_tokens for request in requests)


def num_read(requests: Sequence[Request]) -> int:
    return sum(len(request.prompt_ids) for request in requests)


def _kept() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(FILE.read_text())
    return kept


def draw(encode: Callable[[str], list[int]]) -> dict[str, Any]:
    rng = random.Random(SEED)
    sentences = re.split(r"(?<=[.?!])\s+", PROSE.read_text().strip())
    words = sorted({word.strip(".,;:?").lower() for word in PROSE.read_text().split()})

    def prompt(shortest: int, longest: int) -> list[int]:
        # Each begins with words of its own, so that no two share a beginning that a cache could find again.
        text = " ".join([" ".join(rng.sample(words, 4)) + ".", *rng.sample(sentences, 20)])
        return encode(text)[: rng.randint(shortest, longest)]

    return {
        "seed": SEED,
        "requests": [
            Request(prompt(*PROMPT_TOKENS), rng.randint(*OUTPUT_TOKENS)) for _ in range(NUM_REQUESTS)
        ],
        "translations": [
            Request(prompt(*SOURCE_TOKENS), rng.randint(*TARGET_TOKENS)) for _ in range(NUM_TRANSLATIONS)
        ],
        "gaps": [round(rng.expovariate(1.0), 4) for _ in range(NUM_TRANSLATIONS)],
    }


def _told(value: Any) -> str:
    """JSON with one request a line."""
    if not isinstance(value, list) or not isinstance(value[0], Request):
        return json.dumps(value)
    rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in value)
    return f"[\n{rows}\n]"


def main() -> None:
    from potstill.hub.resolve import resolve
    from potstill.progress import Lines
    from potstill.tokenization.load import load_tokenizer

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="gemma-3-270m")
    asked = parser.parse_args()
    if FILE.exists():
        raise SystemExit(f"{FILE} is kept. Delete it to draw anew; older figures are not comparable then.")
    drawn = draw(load_tokenizer(resolve(asked.model, progress=Lines()).path).encode)
    FILE.write_text(
        "{\n" + ",\n".join(f'"{name}": {_told(value)}' for name, value in drawn.items()) + "\n}\n"
    )
    read, written = num_read(drawn["requests"]), num_written(drawn["requests"])
    print(f"{FILE}: {NUM_REQUESTS} requests, {read:,} tokens to read, {written:,} to write")


if __name__ == "__main__":
    main()
