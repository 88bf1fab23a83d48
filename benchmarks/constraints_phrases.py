"""CommonGen for bench_constraints.py: do all concepts occur, and what does that cost in likelihood and time?

Coverage is the share of concepts of which one of the item's forms, as the data set lists them, stands in the
text as a word. The settings and demonstrations were chosen on the last items of the file, which are not among
those reported (commongen.py).
"""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from commongen import Item, load_items

from potstill.engine.generator import EngineGenerator
from potstill.engine.load import load_generator
from potstill.engine.params import EngineParams
from potstill.types import Completion, SamplingParams, TextRequest

NUM_BEAMS = 20
MAX_TOKENS = 40


def measure_phrases(path: Path, data: Path, count: int) -> dict[str, Any]:
    items = load_items(data / "generation" / "commongen.jsonl.gz", count)
    generator = load_generator(path, dtype="int8", params=EngineParams(max_batch=8 * NUM_BEAMS))
    sampling = SamplingParams(num_beams=NUM_BEAMS, max_tokens=MAX_TOKENS, stop=("\n",), length_penalty=0.2)
    bound = [TextRequest(item.prompt, sampling, clauses=item.clauses) for item in items]
    free = [TextRequest(item.prompt, sampling) for item in items]
    found = {"constrained": _measure(generator, items, bound), "free": _measure(generator, items, free)}
    gap = found["free"]["logprob_per_token"] - found["constrained"]["logprob_per_token"]
    return {"num_items": len(items), "num_beams": NUM_BEAMS, "logprob_gap_nats": gap, **found}


def _measure(
    generator: EngineGenerator, items: Sequence[Item], requests: Sequence[TextRequest]
) -> dict[str, Any]:
    started = time.perf_counter()
    written = dict(generator.complete(requests))
    seconds = time.perf_counter() - started
    texts = [written[index] for index in range(len(items))]
    covered = [_covered(item, one) for item, one in zip(items, texts, strict=True)]
    return {
        "coverage": sum(map(sum, covered)) / sum(map(len, covered)),
        "share_of_items_with_all": sum(map(all, covered)) / len(covered),
        "num_unmet": sum(bool(one.unmet) for one in texts),
        "logprob_per_token": sum(one.logprob for one in texts) / sum(len(one.token_ids) for one in texts),
        "tokens_per_text": sum(len(one.token_ids) for one in texts) / len(texts),
        "seconds_per_text": seconds / len(texts),
        "first_texts": [one.text.strip() for one in texts[:10]],
    }


def _covered(item: Item, written: Completion) -> list[bool]:
    return [
        any(re.search(rf"(?<!\w){re.escape(form.text)}(?!\w)", written.text) for form in clause)
        for clause in item.clauses
    ]
