"""The corpora of bench_index, made once in a work folder.

`python`  the source and text of this Python's library and packages and of the system's Python, under a
             byte-level BPE of 32,000 tokens trained on each tenth file; each 250th file is held out
`large`      so many copies of it that it has over 300M tokens; in each copy runs of 20 tokens, a twentieth of
             all, are replaced by runs from elsewhere in it
`small`      a fiftieth of the files, to try things out
"""

import hashlib
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, trainers

from potstill.corpus.build import build_corpus
from potstill.corpus.byte_offsets import SPELLED
from potstill.corpus.encoding import EncodedBatch
from potstill.corpus.folder import building_corpus
from potstill.corpus.manifest import VOCABULARY_FOLDER, write_corpus_facts
from potstill.corpus.source_files import find_source_files
from potstill.corpus.store import Store
from potstill.corpus.store_writer import StoreWriter
from potstill.corpus.vocabulary import TokenizerVocabulary, Vocabulary
from potstill.files import read_json, write_json
from potstill.progress import Progress
from potstill.tokenization.load import load_tokenizer
from potstill.tokenization.tokenizer import Tokenizer

VOCAB_SIZE = 32_000
SYSTEM_FOLDERS = ("/usr/lib/python3", "/usr/lib/python3.11")
SUFFIXES = (".py", ".pyi", ".txt", ".md", ".rst")
MAX_FILE_BYTES = 4 << 20
HELD_OUT_EVERY, TRAINED_ON_EVERY = 250, 10
LARGE_TOKENS = 310_000_000
EDITED_SHARE, RUN_TOKENS = 0.05, 20


@dataclass(frozen=True)
class BenchCorpus:
    """A corpus folder, token ids of texts that are not in it, and what the result should tell of it."""

    folder: Path
    heldout: list[np.ndarray]
    facts: dict[str, Any]


def make_corpus(name: str, work: Path, progress: Progress) -> BenchCorpus:
    """The corpus called `name`, from `work` where it stands there already."""
    every = 50 if name == "small" else 1
    base = work / ("small" if name == "small" else "python")
    corpus = base / "corpus"
    if not (corpus / "corpus.json").exists():
        _make_base(base, every, progress)
    facts = read_json(base / "facts.json")
    vocabulary = TokenizerVocabulary(load_tokenizer(base / "tokenizer"))
    heldout = vocabulary.encode_documents([Path(path).read_bytes() for path in facts.pop("heldout")])
    if name == "large":
        corpus = work / "large" / "corpus"
        if not (corpus / "corpus.json").exists():
            facts |= {"copies_edited_share": EDITED_SHARE}
            _make_large(base / "corpus", corpus, vocabulary, progress)
    return BenchCorpus(corpus, heldout, facts)


def _make_base(base: Path, every: int, progress: Progress) -> None:
    files = list(_text_files())[::every]
    heldout = files[:: 10 if every > 1 else HELD_OUT_EVERY]
    kept = [path for path in files if path not in set(heldout)]
    tokenizer = _trained(kept[::TRAINED_ON_EVERY] if every == 1 else kept)
    (base / "tokenizer").mkdir(parents=True, exist_ok=True)
    tokenizer.save(base / "tokenizer")
    digest = hashlib.sha256((base / "tokenizer" / "tokenizer.json").read_bytes()).hexdigest()
    write_json(
        base / "facts.json",
        {"files": len(kept), "heldout": [str(path) for path in heldout], "tokenizer_sha256": digest},
    )
    vocabulary = TokenizerVocabulary(load_tokenizer(base / "tokenizer"))
    build_corpus(kept, base / "corpus", vocabulary, progress=progress)


def _text_files() -> Iterator[Path]:
    """In the order of names; of equal files the first."""
    paths = {sysconfig.get_paths()[name] for name in ("stdlib", "purelib")} | set(SYSTEM_FOLDERS)
    folders = [Path(path) for path in sorted(paths) if Path(path).is_dir()]
    seen: set[bytes] = set()
    for file in find_source_files(folders).files:
        if file.path.suffix not in SUFFIXES or file.size > MAX_FILE_BYTES:
            continue
        content = file.path.read_bytes()
        digest = hashlib.sha256(content).digest()
        if digest in seen:
            continue
        seen.add(digest)
        yield file.path


def _trained(files: Sequence[Path]) -> Tokenizer:
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - 1,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=["<|end|>"],
        show_progress=False,
    )
    texts = (path.read_bytes().decode(errors="replace") for path in files)
    backend.train_from_iterator(texts, trainer)
    return Tokenizer(backend, bos_id=None, eos_ids=[0], config={"eos_token": "<|end|>"})


def _make_large(base: Path, out: Path, vocabulary: Vocabulary, progress: Progress) -> None:
    store = Store(base)
    lengths = np.array([len(vocabulary.token_bytes(token)) for token in range(vocabulary.vocab_size)])
    symbol_lengths = np.concatenate([[0], lengths])
    symbols = store.symbols(0, store.num_symbols)
    rng = np.random.default_rng(20)
    num_copies = -(-LARGE_TOKENS // store.num_tokens)
    with building_corpus(out) as folder, progress.task("copies", num_copies, "copies") as task:
        writer = StoreWriter(folder, vocabulary.facts)
        for source in range(store.num_sources):
            writer.add_source(store.source(source))
        for copy in range(num_copies):
            edited = _edited(symbols, rng) if copy else symbols
            writer.append(_as_batch(edited, symbol_lengths), store.documents(0, store.num_documents).copy())
            task.advance()
        write_corpus_facts(folder, writer.finish())
        vocabulary.save(folder / VOCABULARY_FOLDER)


def _edited(symbols: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    edited = symbols.copy()
    num_runs = int(len(symbols) * EDITED_SHARE / RUN_TOKENS)
    to, source = (rng.integers(0, len(symbols) - 2 * RUN_TOKENS, num_runs) for _ in range(2))
    for offset in range(RUN_TOKENS):
        new = symbols[source + offset]
        # Document ends stay where they are.
        is_token = (new != 0) & (edited[to + offset] != 0)
        edited[(to + offset)[is_token]] = new[is_token]
    return edited


def _as_batch(symbols: np.ndarray, symbol_lengths: np.ndarray) -> EncodedBatch:
    ends = np.flatnonzero(symbols == 0)
    after = np.cumsum(symbol_lengths[symbols])
    before = np.concatenate([[0], after[:-1]])
    starts = np.concatenate([[0], ends[:-1] + 1])
    before -= np.repeat(before[starts], np.diff(np.concatenate([[0], ends + 1])))
    kinds = np.full(len(symbols), SPELLED, np.uint8)
    none = np.empty(0, np.int64)
    return EncodedBatch(symbols, none, before=before, kinds=kinds, gaps=none, lengths=none)
