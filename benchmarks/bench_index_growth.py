"""What does an index cost as its corpus grows, and what would five trillion tokens take?

Work: the first 1, 10 and 100 million tokens of `large` (index_corpora.py), and all of it, each built by the
command with the same settings and asked the same kind of 1,000 5-grams. Building is linear and counting
logarithmic if seconds a token stay, and microseconds a count grow by a constant for each factor of ten.

    python benchmarks/bench_index_growth.py WORK [--out FILE] [--charts FOLDER] [--core-hour 0.05]
"""

import argparse
import json
import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from bench_index import build_ours, index_bytes, ragged
from index_corpora import make_corpus
from index_queries import Queries
from provenance import provenance

from potstill.charts.curve import Series, curve
from potstill.corpus.copied_documents import Chosen, copy_documents
from potstill.corpus.folder import building_corpus
from potstill.corpus.manifest import VOCABULARY_FOLDER
from potstill.corpus.store import Store
from potstill.files import write_text
from potstill.index.reader import Index
from potstill.progress import Lines, Silent

SIZES = (1_000_000, 10_000_000, 100_000_000, None)
ROUNDS = 7
FIVE_TRILLION = 5e12
# What infini-gram's authors say their index of 5 trillion tokens takes to build.
PUBLISHED_MONEY = "a few hundred dollars"
PUBLISHED_RARE_WORD_MS = 5.5
RARE_LETTERS = 48


def cut(large: Store, num_tokens: int, out: Path) -> Path:
    """A corpus of the first documents of `large`, about `num_tokens` symbols of them."""
    if (out / "corpus.json").exists():
        return out
    starts = large.documents(0, large.num_documents)["first_symbol"]
    last = int(np.searchsorted(starts, num_tokens))
    with building_corpus(out) as folder:
        copy_documents([Chosen(large, ((0, last),))], folder, Silent())
        large.vocabulary.save(folder / VOCABULARY_FOLDER)
    return out


def measure_size(corpus: Path, work: Path) -> dict[str, Any]:
    store = Store(corpus)
    built = build_ours(corpus, work / "index")
    queries = Queries(store.symbols(0, store.num_symbols), [])
    ids, starts = ragged(queries.ngrams[5])
    with Index.open(work / "index") as index:
        batches, calls = [], []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            index.count_batch(ids, starts)
            batches.append((time.perf_counter() - started) * 1e6 / len(queries.ngrams[5]))
            started = time.perf_counter()
            for ngram in queries.ngrams[5]:
                index.count(ngram)
            calls.append((time.perf_counter() - started) * 1e6 / len(queries.ngrams[5]))
        rare = rare_word(index, store)
    return {
        "num_tokens": store.num_tokens,
        "build": built,
        "build_ns_per_token": built["wall_s"] / store.num_tokens * 1e9,
        "bytes_per_token": index_bytes(work / "index", store.num_tokens)["bytes_per_token"],
        "count_batch_us": statistics.median(batches),
        "count_call_us": statistics.median(calls),
        "rare_word": rare,
    }


def rare_word(index: Index, store: Store) -> dict[str, Any] | None:
    """The first word of 48 letters in the corpus, counted from its text; tokenizing is in the time."""
    pattern = re.compile(rf"(?<![A-Za-z])[A-Za-z]{{{RARE_LETTERS}}}(?![A-Za-z])")
    for document in range(min(store.num_documents, 40_000)):
        found = pattern.search(store.vocabulary.decode(store.tokens(document)))
        if found and (count := index.count(found[0])):
            times = []
            for _ in range(101):
                started = time.perf_counter()
                index.count(found[0])
                times.append((time.perf_counter() - started) * 1e3)
            return {"word": found[0], "count": count, "median_ms": statistics.median(times),
                    "published_ms": PUBLISHED_RARE_WORD_MS}  # fmt: skip
    return None


def extrapolate(largest: dict[str, Any], core_hour: float) -> dict[str, Any]:
    """Linear from the largest size measured; sorting runs in parts, so nothing else grows."""
    billions = FIVE_TRILLION / 1e9
    hours = largest["build"]["wall_s"] / largest["num_tokens"] * 1e9 / 3600
    cpu_hours = largest["build"]["cpu_s"] / largest["num_tokens"] * 1e9 / 3600
    return {
        "per_billion_tokens": {
            "wall_hours": hours,
            "cpu_hours": cpu_hours,
            "gigabytes": largest["bytes_per_token"],
            "money": cpu_hours * core_hour,
        },
        "five_trillion_tokens": {
            "wall_hours": hours * billions,
            "cpu_hours": cpu_hours * billions,
            "terabytes": largest["bytes_per_token"] * billions / 1e3,
            "money": cpu_hours * billions * core_hour,
        },
        "money_a_core_hour": core_hour,
        "published_for_five_trillion": PUBLISHED_MONEY,
        "not_in_it": "reading and tokenizing the text, and the disk",
    }


def draw(rows: list[dict[str, Any]], folder: Path) -> None:
    build = tuple((row["num_tokens"] / 1e6, row["build"]["wall_s"]) for row in rows)
    write_text(
        folder / "index_build.svg",
        curve([Series("build", build)], "Building an index", x_label="million tokens", y_label="seconds"),
    )
    series = [
        Series(name, tuple((float(np.log10(row["num_tokens"])), row[key]) for row in rows))
        for name, key in (("one call", "count_call_us"), ("batch of 1,000", "count_batch_us"))
    ]
    write_text(
        folder / "index_count.svg",
        curve(series, "Counting a 5-gram", x_label="tokens, powers of ten", y_label="microseconds"),
    )


def measure(work: Path, core_hour: float) -> dict[str, Any]:
    large = Store(make_corpus("large", work, progress=Lines(sys.stderr)).folder)
    rows = []
    for size in SIZES:
        folder = work / "growth" / str(size or "all")
        corpus = cut(large, size, folder / "corpus") if size else large.folder
        rows.append(measure_size(corpus, folder))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return {
        "subject": "index_growth",
        "rows": rows,
        "extrapolated": extrapolate(rows[-1], core_hour),
        **provenance(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--charts", type=Path)
    parser.add_argument("--core-hour", type=float, default=0.05, help="money, for what is extrapolated")
    asked = parser.parse_args()
    found = measure(asked.work, asked.core_hour)
    if asked.charts:
        draw(found["rows"], asked.charts)
    print(json.dumps(found))
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
