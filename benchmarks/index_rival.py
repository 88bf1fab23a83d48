"""infini-gram 2.6.0 over the same token stream: its indexer as its own command runs it, its engine at best.

Its best setting is every prefetch depth 0: the default costs it five times as much on two cores.
"""

import resource
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

from potstill.corpus.store import Store

# Its all-ones separator stands before each document, so the width must leave that value free.
_SEPARATOR = 0xFFFF
# Bytes of the next part that a part's suffixes are compared in, its own constant.
_OVERLAP_BYTES = 100_000


def write_stream(store: Store, folder: Path) -> None:
    """tokenized.0 and offset.0 as its step 1 leaves them: u16 tokens, a separator before each document."""
    folder.mkdir(parents=True, exist_ok=True)
    symbols = np.fromfile(store.folder / "tokens.bin", dtype="<u2")[: store.num_symbols]
    ends = np.flatnonzero(symbols == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    tokens = np.empty_like(symbols)
    tokens[starts] = _SEPARATOR
    # Our document end comes after a document, its separator before: everything else moves on by one.
    is_token = np.ones(len(symbols), dtype=bool)
    is_token[starts] = False
    tokens[is_token] = symbols[symbols != 0] - 1
    tokens.tofile(folder / "tokenized.0")
    (starts.astype(np.uint64) * 2).tofile(folder / "offset.0")


def build(folder: Path, *, memory_gib: int, cpus: int) -> dict[str, float]:
    """Its step 2 (parts, merge, concat) with the arguments its own indexing.py works out; seconds."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    _sort(folder, memory_gib, cpus)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": time.perf_counter() - started,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "bytes": sum((folder / name).stat().st_size for name in ("tokenized.0", "offset.0", "table.0")),
    }


def _sort(folder: Path, memory_gib: int, cpus: int) -> None:
    import infini_gram

    program = Path(infini_gram.__file__).parent / "rust_indexing"
    data = folder / "tokenized.0"
    size = data.stat().st_size
    width_bytes = -(-(size - 1).bit_length() // 8)
    batches = 1
    while batches * (memory_gib * 2**30 // 8) < size:
        batches *= 2
    jobs = batches * cpus
    step = size // jobs
    step += step % 2
    common = ["--data-file", data, "--ratio", width_bytes, "--token-width", 2]
    parts, merged = folder / "parts", folder / "merged"
    for made in (parts, merged):
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
    for first in range(0, jobs, cpus):
        running = [
            _start(program, "make-part", *common, "--parts-dir", parts, "--start-byte", job * step,
                   "--end-byte", min((job + 1) * step + _OVERLAP_BYTES, size))
            for job in range(first, min(first + cpus, jobs))
        ]  # fmt: skip
        for process in running:
            _finish(process)
    threads = ["--num-threads", cpus]
    _finish(_start(program, "merge", *common, "--parts-dir", parts, "--merged-dir", merged, *threads,
                   "--hacksize", _OVERLAP_BYTES))  # fmt: skip
    shutil.rmtree(parts)
    _finish(_start(program, "concat", *common, "--merged-dir", merged, "--merged-file", folder / "table.0",
                   *threads))  # fmt: skip
    shutil.rmtree(merged)


def open_engine(folder: Path, vocab_size: int) -> Any:
    from infini_gram.engine import InfiniGramEngine

    return InfiniGramEngine(
        str(folder), eos_token_id=vocab_size - 1, vocab_size=vocab_size, token_dtype="u16",
        ds_prefetch_depth=0, sa_prefetch_depth=0, od_prefetch_depth=0,
    )  # fmt: skip


def _start(program: Path, *arguments: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [str(program), *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def _finish(process: "subprocess.Popen[bytes]") -> None:
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"infini-gram's indexer ended with {process.returncode}: {errors.decode()[-500:]}")
