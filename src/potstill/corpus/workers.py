"""Tokenizing on several cores: worker processes that each load the vocabulary once, answers in order.

Threads would wait for each other: ids become Python lists one thread at a time.
"""

import os
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import TypeVar

from potstill.corpus.encoding import EncodedBatch, Encoder, Piece, encoder_of
from potstill.corpus.vocabulary import Vocabulary, load_vocabulary
from potstill.errors import PotstillError

# Batches that are under way for each worker: one in work, one waiting.
_AHEAD = 2
_Label = TypeVar("_Label")
Batches = Iterable[tuple[_Label, Sequence[Piece]]]
Encoded = Iterator[tuple[_Label, EncodedBatch]]


def encode_batches(
    batches: Batches[_Label], vocabulary: Vocabulary, workers: int, scratch: Path
) -> Encoded[_Label]:
    """Each batch encoded, in order, with its label; by this process alone where `workers` is 1.

    What is held is two batches a worker. In the folder `scratch` the workers find the vocabulary while they
    work. PotstillError if a worker process dies; the workers end if this process does.
    """
    if workers == 1 or vocabulary.kind == "bytes":
        encoder = encoder_of(vocabulary)
        for label, pieces in batches:
            yield label, encoder.encode(pieces)
        return
    with tempfile.TemporaryDirectory(prefix=".workers-", dir=scratch) as folder:
        vocabulary.save(Path(folder))
        yield from _by_processes(batches, folder, workers)


def _by_processes(batches: Batches[_Label], folder: str, workers: int) -> Encoded[_Label]:
    # A forked copy of a process with threads may wait for ever; a new one does not.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (folder,))
    under_way: deque[tuple[_Label, Future[EncodedBatch]]] = deque()
    try:
        for label, pieces in batches:
            with _without_interrupts():
                future = pool.submit(_encode, pieces)
            under_way.append((label, future))
            if len(under_way) >= _AHEAD * workers:
                label, future = under_way.popleft()
                yield label, future.result()
        while under_way:
            label, future = under_way.popleft()
            yield label, future.result()
    except BrokenProcessPool:
        raise PotstillError(
            "A worker process that tokenized died (out of memory, or stopped from outside). Run the same "
            "command again with fewer workers: --workers 1. A Python program that builds with workers needs "
            "its own start under `if __name__ == '__main__':`."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Workers start inside the block: Ctrl-C, which reaches them too, must find none half imported."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_encoder: Encoder | None = None


def _start_worker(folder: str) -> None:
    global _encoder
    # Ctrl-C reaches the whole group of processes; the one that started this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _encoder = encoder_of(load_vocabulary(Path(folder)))


def _end_with_parent() -> None:
    """A worker waits at a queue that its siblings keep open, so it would outlive a parent that was killed."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _encode(pieces: Sequence[Piece]) -> EncodedBatch:
    assert _encoder is not None
    return _encoder.encode(pieces)
