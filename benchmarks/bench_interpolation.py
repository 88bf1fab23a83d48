"""What does an ∞-gram index of text of the same kind add to a small neural model, in perplexity?

For each source: most of it is indexed with the model's tokenizer; of what was held out (whole packages of
Python source, whole documents elsewhere) every document that shares 50 tokens with the index, or stands there
whole, is removed by the index; the two λ are tuned on one held-out part and the figure is taken on the other.
Improvement is 1 - (PPL - 1) / (PPL0 - 1). Baseline: the neural model alone on the same tokens, in windows of
4,096 tokens that begin with 512 tokens of the window before. Intervals are 95% percentile bootstrap intervals
over documents. Beside it stand one λ, and a λ for each matched length, both tuned on the same text.

    python benchmarks/bench_interpolation.py --work FOLDER [--data ../shared/data] [--only python,news]

What is finished is kept in FOLDER: the same command goes on where it was ended. `--trial` runs it all on a
small part in minutes.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from interpolation_sources import Split, split_python, split_records
from provenance import provenance

from potstill.corpus.vocabulary import TokenizerVocabulary, Vocabulary
from potstill.devices import memory_budget, num_threads, use_threads
from potstill.engine.params import EngineParams
from potstill.evaluation.held_out import first_tokens, unseen
from potstill.evaluation.perplexity import compare_mixture, perplexity
from potstill.files import write_json, writing
from potstill.hub.resolve import resolve
from potstill.index.build import BuildSettings, build_index
from potstill.index.reader import Index
from potstill.lm.decoder import NeuralDecoder
from potstill.lm.document_scoring import require_vocabulary, score_documents
from potstill.lm.infinigram import InfinigramModel
from potstill.lm.interpolation import Interpolation, best_weight, tune, tune_one
from potstill.lm.load import load_lm
from potstill.lm.token_scores import TokenScores
from potstill.lm.tuned_interpolation import TunedInterpolation, keep_interpolation, sha256_of_documents
from potstill.progress import Lines

SEED = 20240601
CORPUS = ("books", "c4_sample", "speeches", "tinyshakespeare", "wikipedia_articles")
# Fewer documents than this give no interval: then pieces of so many tokens are drawn again.
FEWEST_DOCUMENTS, PIECE_TOKENS = 10, 2048
LONGEST_TOLD = 16
# Of a held-out document that was not cut into passages, so that 100,000 tokens are not a handful of files.
LONGEST_DOCUMENT = {"python": 4096}
Part = list[list[int]]


def main() -> None:
    asked = parse(sys.argv[1:])
    use_threads()
    splits = sources(asked)
    unknown = set(asked.only or splits) - splits.keys()
    if unknown:
        raise SystemExit(f"There is no source {', '.join(sorted(unknown))}; there are {', '.join(splits)}.")
    found = {}
    bench = Bench(asked)
    for name in asked.only or splits:
        found[name] = bench.run(name, splits[name])
        print_row(name, found[name])
    results = {
        "benchmark": "interpolation",
        "model": asked.model,
        "seed": SEED,
        "part_tokens": asked.part_tokens,
        "python_bytes": asked.python_bytes,
        "trial": asked.trial,
        "sources": found,
        **provenance(),
    }
    asked.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps({"out": str(asked.out), "machine": results["machine"], "commit": results["commit"]}))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--python", type=Path, help="a folder of packages; this Python's own where left out")
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument("--part-tokens", type=int, default=100_000, help="to tune on, and again to report on")
    parser.add_argument("--only", type=lambda text: text.split(","), help="sources, with commas")
    parser.add_argument(
        "--python-bytes", type=int, help="of Python source, drawn by package; all if left out"
    )
    parser.add_argument("--trial", action="store_true", help="3,000 tokens a part, 3 MB of Python")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    if asked.trial:
        asked.part_tokens, asked.python_bytes = 3_000, 3_000_000
    asked.out = (
        asked.out or (asked.work if asked.trial else Path("benchmarks/results")) / "interpolation.json"
    )
    return asked


def sources(asked: argparse.Namespace) -> dict[str, Callable[[], Split]]:
    tokens, data = asked.part_tokens, asked.data
    found = {"python": lambda: split_python(asked.python, tokens, asked.python_bytes)}
    for name in CORPUS:
        files = sorted((data / "corpus").glob(f"{name}.*"))
        found[name] = lambda files=files: split_records(files, tokens)
    found["news"] = lambda: split_records(sorted((data / "news").glob("*.jsonl.gz")), tokens)
    return found


class Bench:
    """The model, loaded when a source first needs it, and a folder for each source."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.path = resolve(asked.model, progress=Lines()).path
        params = EngineParams(kv_bytes=1 << 20)
        self.model, self.tokenizer = load_lm(self.path, params=params)
        self.vocabulary = TokenizerVocabulary(self.tokenizer)

    def run(self, name: str, split: Callable[[], Split]) -> dict[str, Any]:
        size = self.asked.python_bytes if name == "python" else None
        folder = self.asked.work / "-".join(map(str, filter(None, [name, self.asked.part_tokens, size])))
        finished = folder / "result.json"
        if finished.is_file():
            return json.loads(finished.read_text())
        print(f"{name}: drawing and indexing", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        parts = split()
        result = self._measure(name, folder, parts)
        write_json(finished, result)
        return result

    def _measure(self, name: str, folder: Path, split: Split) -> dict[str, Any]:
        started = time.perf_counter()
        build(split.indexed, folder / "index", self.vocabulary)
        built_s = time.perf_counter() - started
        with Index.open(folder / "index") as index:
            infinigram = InfinigramModel(index, self.model.vocab_size)
            require_vocabulary(infinigram, self.vocabulary.fingerprint)
            told = {
                **split.told,
                "indexed_documents": index.num_documents,
                "indexed_tokens": index.num_tokens,
            }
            scores, parts = {}, {}
            for part, texts in (("tuning", split.tuning), ("test", split.test)):
                parts[part], told[part] = held_out(
                    index, self.vocabulary, texts, self.asked.part_tokens, LONGEST_DOCUMENT.get(name)
                )
                if not parts[part]:
                    return {**told, "left_out": f"every document held out for {part} shares 50 tokens"}
                scores[part] = kept_scores(folder / f"{part}.npz", infinigram, self.model, parts[part])
        weights = tune(scores["tuning"])
        self._keep(folder / "index", name, parts["tuning"], scores["tuning"], weights)
        scored_s = time.perf_counter() - started - built_s
        return {**told, "seconds": {"index": built_s, "scores": scored_s}, **report(scores, weights)}

    def _keep(
        self, index: Path, name: str, documents: Part, scores: list[TokenScores], weights: Interpolation
    ) -> None:
        mixed = [weights.mixed_logprobs(one) for one in scores]
        tuned = TunedInterpolation(
            weights=weights,
            text=f"{name}, held out for tuning",
            text_sha256=sha256_of_documents(documents),
            num_tokens=sum(map(len, documents)),
            model=self.asked.model,
            perplexity=perplexity(mixed),
        )
        keep_interpolation(index, tuned)


def build(texts: Sequence[str], index: Path, vocabulary: Vocabulary) -> None:
    """Index `texts` by way of a JSONL file beside the index, which an ended build goes on from."""
    file = index.with_name("indexed.jsonl")
    if not file.exists():
        with writing(file) as out:
            for text in texts:
                out.write(json.dumps({"text": text}).encode() + b"\n")
    settings = BuildSettings(memory_bytes=memory_budget(), num_workers=num_threads())
    build_index([file], index, vocabulary, settings, Lines())


def held_out(
    index: Index, vocabulary: Vocabulary, texts: Sequence[str], num_tokens: int, longest: int | None
) -> tuple[Part, dict[str, int]]:
    """Documents that the index has not seen, of `num_tokens` tokens together where there are so many.

    Of each at most the `longest` first tokens are taken.
    """
    documents = [ids.tolist() for ids in vocabulary.encode_documents(texts)]
    is_unseen = unseen(index, documents)
    clean = [ids for ids, kept in zip(documents, is_unseen, strict=True) if kept]
    taken = first_tokens([ids[:longest] for ids in clean], num_tokens)
    return taken, {
        "held_out_documents": len(documents),
        "held_out_tokens": sum(map(len, documents)),
        "removed_documents": len(documents) - len(clean),
        "removed_tokens": sum(map(len, documents)) - sum(map(len, clean)),
        "documents": len(taken),
        "tokens": sum(map(len, taken)),
    }


def kept_scores(
    file: Path, infinigram: InfinigramModel, model: NeuralDecoder, documents: Part
) -> list[TokenScores]:
    """The scores of `documents`, from `file` where an earlier run left those of just these."""
    sha256 = sha256_of_documents(documents)
    if file.is_file():
        with np.load(file, allow_pickle=False) as arrays:
            if str(arrays["sha256"]) == sha256:
                whole = TokenScores(*(arrays[name] for name in TokenScores.__slots__))
                return by_document(whole, documents)
    scores = score_documents(infinigram, model, documents, progress=Lines())
    whole = TokenScores.join(scores)
    with writing(file) as out:
        np.savez(out, sha256=sha256, **{name: getattr(whole, name) for name in TokenScores.__slots__})
    return scores


def by_document(whole: TokenScores, documents: Part) -> list[TokenScores]:
    stops = np.cumsum([len(ids) for ids in documents])[:-1]
    columns = [np.split(getattr(whole, name), stops) for name in TokenScores.__slots__]
    return [TokenScores(*arrays) for arrays in zip(*columns, strict=True)]


def report(scores: dict[str, list[TokenScores]], weights: Interpolation) -> dict[str, Any]:
    one = tune_one(scores["tuning"])
    found: dict[str, Any] = {"lambda": asdict(weights), "one_lambda": one.sparse}
    for part, own in scores.items():
        units = own
        if sum(unit.num_tokens > 0 for unit in own) < FEWEST_DOCUMENTS:
            units = [piece for unit in own for piece in unit.pieces(PIECE_TOKENS)]
        figures = compare_mixture(units, weights, SEED).to_record()
        figures["interval_over"] = "documents" if units is own else f"pieces of {PIECE_TOKENS} tokens"
        figures["one_lambda"] = compare_mixture(units, one, SEED).to_record()["improvement"]
        figures["lambda_by_length"] = improvement_by_length(scores["tuning"], own)
        found[f"{part}_figures"] = figures
    return found


def improvement_by_length(tuning: list[TokenScores], test: list[TokenScores]) -> float:
    """What a λ for each kind of token and matched length would give on `test`: what two λ leave."""
    before, after = TokenScores.join(tuning), TokenScores.join(test)
    mixed = after.neural_logprobs.copy()
    for is_sparse in (False, True):
        for length in range(LONGEST_TOLD + 1):
            weight = best_weight(before, of_group(before, is_sparse, length))
            group = of_group(after, is_sparse, length)
            mixed[group] = Interpolation(weight, weight).mixed_logprobs(after)[group]
    neural = perplexity([after.neural_logprobs])
    return 1 - (perplexity([mixed]) - 1) / (neural - 1)


def of_group(scores: TokenScores, is_sparse: bool, length: int) -> np.ndarray:
    return (scores.is_sparse == is_sparse) & (np.minimum(scores.suffix_len, LONGEST_TOLD) == length)


def print_row(name: str, found: dict[str, Any]) -> None:
    if "left_out" in found:
        print(f"{name:18} left out: {found['left_out']}")
        return
    figures, weights = found["test_figures"], found["lambda"]
    gain, neural, mixture = (figures[key] for key in ("improvement", "neural", "mixture"))
    print(
        f"{name:18} {found['indexed_tokens']:>11,} indexed {found['test']['tokens']:>8,} scored  "
        f"PPL {neural['mean']:7.3f} -> {mixture['mean']:7.3f}  "
        f"{gain['mean']:6.1%} ({gain['low']:.1%} to {gain['high']:.1%})  "
        f"one λ {figures['one_lambda']['mean']:.1%}, by length {figures['lambda_by_length']:.1%}  "
        f"λ {weights['sparse']:.3f} {weights['nonsparse']:.3f}"
    )


if __name__ == "__main__":
    main()
