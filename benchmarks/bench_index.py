"""How fast does the index answer and build, beside infini-gram 2.6.0 on the same token stream?

Work: the Python installation's own source and text under a 32k byte-level BPE trained on it (`python`),
and a corpus of over 300M tokens that fits no cache (`large`), both from index_corpora.py. Each engine builds
from the same tokens and answers the same n-grams, contexts, ranks and held-out texts, in turns. The rival has
prefetch depths of 0, its fastest setting; where it samples (`ntd`), ours is exact. Counts of both are held
against each other and disagreements reported.

    python benchmarks/bench_index.py WORK [--corpus python|large] [--rounds 5] [--out FILE]
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from index_corpora import make_corpus
from index_queries import NUM_QUERIES, TEXT_TOKENS, Queries, compare, each, in_threads, whole
from index_rival import build as build_rival
from index_rival import open_engine, write_stream
from provenance import provenance

from potstill.corpus.store import Store
from potstill.index.reader import Index
from potstill.progress import Lines

RANK_TOKENS = 100
AIMS = {
    **{f"count, batch, n={n}, 1 thread": 10 for n in (1, 2, 5, 10)},
    **{f"count, batch, n={n}, 2 threads": 14 for n in (1, 2, 5, 10)},
    **{f"count, one call, n={n}": 3.5 for n in (1, 2, 5, 10)},
    "next, context 1": 100,
    "next, context 5": 5,
    "next, context 5, p99": 50,
    f"infgram_prob of each of {TEXT_TOKENS} tokens": 25,
    f"maximal spans of {TEXT_TOKENS} tokens": 15,
    "document by rank": 2,
}


def ragged(queries: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    lengths = [len(query) for query in queries]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.concatenate(queries).astype(np.uint32), starts


def measure_counts(index: Index, engine: Any, queries: Queries, rounds: int) -> dict[str, Any]:
    found = {}
    for n, ngrams in queries.ngrams.items():
        ids, starts = ragged(ngrams)
        for threads in (1, 2):
            found[f"count, batch, n={n}, {threads} thread{'s' if threads > 1 else ''}"] = compare(
                whole(lambda: index.count_batch(ids, starts, threads=threads), NUM_QUERIES),  # noqa: B023
                whole(in_threads(engine.count, ngrams, threads), NUM_QUERIES),
                rounds,
            )
        found[f"count, one call, n={n}"] = compare(
            each(index.count, ngrams), each(engine.count, ngrams), rounds
        )
        theirs = [engine.count(ngram)["count"] for ngram in ngrams]
        disagreements = int((index.count_batch(ids, starts) != np.array(theirs)).sum())
        found[f"count, one call, n={n}"]["disagreements"] = disagreements
    return found


def measure_next(index: Index, engine: Any, queries: Queries, rounds: int) -> dict[str, Any]:
    found = {}
    for n in (1, 5):
        # Contexts that occur, so that there is something to distribute.
        contexts = [ngram for ngram in queries.ngrams[n][::2]][:200]
        found[f"next, context {n}"] = compare(
            each(index.next, contexts), each(lambda ids: engine.ntd(prompt_ids=ids), contexts), rounds
        )
    return found


def measure_texts(index: Index, engine: Any, queries: Queries, rounds: int) -> dict[str, Any]:
    texts = queries.texts[:20]

    def score_rival(text: list[int]) -> None:
        for end in range(len(text)):
            engine.infgram_prob(prompt_ids=text[:end], cont_id=text[end])

    def spans_rival(text: list[int]) -> Any:
        return engine.attribute(input_ids=text, delim_ids=[], min_len=2, max_cnt=1 << 40, enforce_bow=False)

    return {
        f"infgram_prob of each of {TEXT_TOKENS} tokens": compare(
            each(index.score, texts), each(score_rival, texts), rounds
        ),
        f"maximal spans of {TEXT_TOKENS} tokens": compare(
            each(lambda text: index.spans(text, min_length=2), texts), each(spans_rival, texts), rounds
        ),
    }


def measure_ranks(index: Index, engine: Any, rounds: int) -> dict[str, Any]:
    ranks = np.random.default_rng(2).integers(0, index.num_tokens, NUM_QUERIES).tolist()
    return {
        "document by rank": compare(
            each(lambda rank: index.document_by_rank(rank, RANK_TOKENS), ranks),
            each(lambda rank: engine.get_doc_by_rank(s=0, rank=rank, max_disp_len=RANK_TOKENS), ranks),
            rounds,
        )
    }


def build_ours(store: Path, out: Path) -> dict[str, float]:
    """The command, as a user runs it, start of the interpreter included; wall and CPU seconds."""
    shutil.rmtree(out, ignore_errors=True)
    program = Path(sys.executable).parent / "potstill"
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [program, "index", "build", store, "--out", out, "--json"], check=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": time.perf_counter() - started,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        # The largest of any child so far; ours runs before the rival's.
        "peak_bytes": after.ru_maxrss * 1024,
    }


def index_bytes(folder: Path, num_tokens: int) -> dict[str, float]:
    """Bytes a token: everything but source offsets, these, and what is left without the bigram tables."""
    sizes = {path.name: path.stat().st_size for path in folder.glob("segments/*/*")}
    offsets = sizes.pop("offsets.bin", 0)
    tables = sum(size for name, size in sizes.items() if name.startswith("bigram"))
    total = sum(sizes.values())
    return {
        "bytes_per_token": total / num_tokens,
        "without_tables": (total - tables) / num_tokens,
        "source_offsets": offsets / num_tokens,
        "files": sizes,
    }


def measure_builds(store: Store, work: Path, rounds: int) -> dict[str, Any]:
    rival = work / "rival"
    write_stream(store, rival)
    taken: dict[str, list[dict[str, float]]] = {"potstill": [], "infini_gram": []}
    for _ in range(rounds):
        taken["potstill"].append(build_ours(store.folder, work / "index"))
        taken["infini_gram"].append(build_rival(rival, memory_gib=8, cpus=2))
    ratios = {
        unit: sorted(
            theirs[unit] / mine[unit]
            for mine, theirs in zip(taken["potstill"], taken["infini_gram"], strict=True)
        )
        for unit in ("wall_s", "cpu_s")
    }
    return {"runs": taken, "ratios": ratios, "aims": {"wall_s": 2.8, "cpu_s": 5}}


def memory_latency() -> dict[str, float]:
    """Nanoseconds of a read that depends on none before it, over 256 MiB."""
    order = np.random.default_rng(3).permutation(1 << 26).astype(np.int32)
    started = time.perf_counter()
    order[order[: 1 << 22]]
    independent = (time.perf_counter() - started) / (1 << 22) * 1e9
    return {"independent_read_ns": independent}


def measure(work: Path, name: str, rounds: int, build_rounds: int) -> dict[str, Any]:
    corpus = make_corpus(name, work, progress=Lines(sys.stderr))
    store = Store(corpus.folder)
    builds = measure_builds(store, work / name, build_rounds)
    queries = Queries(store.symbols(0, store.num_symbols), corpus.heldout)
    engine = open_engine(work / name / "rival", store.facts.vocabulary.vocab_size)
    with Index.open(work / name / "index") as index:
        rows = {
            **measure_counts(index, engine, queries, rounds),
            **measure_next(index, engine, queries, rounds),
            **measure_texts(index, engine, queries, rounds),
            **measure_ranks(index, engine, rounds),
        }
    return {
        "subject": "index",
        "corpus": {"name": name, "num_tokens": store.num_tokens, "num_documents": store.num_documents,
                   **corpus.facts},
        "rows": rows,
        "aims": AIMS,
        "build": builds,
        "size": index_bytes(work / name / "index", store.num_tokens),
        "size_aim_bytes_per_token": 6.0,
        "memory": memory_latency(),
        "rival": "infini-gram 2.6.0, prefetch depths 0",
        **provenance(),
    }  # fmt: skip


def show(found: dict[str, Any]) -> None:
    print(
        f"{'query':42} {'ours p50':>9} {'p99':>9} {'rival p50':>10} {'p99':>9} {'ratio':>7} {'p99':>7}  aim"
    )
    for name, row in found["rows"].items():
        ours, rival = row["potstill"], row["infini_gram"]
        print(
            f"{name:42} {ours['p50_us']:9.2f} {ours['p99_us']:9.2f} {rival['p50_us']:10.1f} "
            f"{rival['p99_us']:9.1f} {row['ratio_p50']:7.1f} {row['ratio_p99']:7.1f}  {AIMS.get(name, '')}"
        )
    print("build:", json.dumps(found["build"]["ratios"]), "size:", found["size"]["bytes_per_token"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--corpus", default="python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--build-rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    found = measure(asked.work, asked.corpus, asked.rounds, asked.build_rounds)
    show(found)
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
