"""An index for asyncio: each question runs in a thread, so the event loop goes on meanwhile.

The native core lets go of the interpreter while it works, so questions also run beside each other.
"""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from potstill.index.reader import Index
from potstill.index.results import Occurrence

_P = ParamSpec("_P")
_Answer = TypeVar("_Answer")
_Asking = Callable[Concatenate["AsyncIndex", _P], Coroutine[Any, Any, _Answer]]


def _in_a_thread(question: Callable[Concatenate[Index, _P], _Answer]) -> _Asking[_P, _Answer]:
    @wraps(question)
    async def ask(asked: "AsyncIndex", /, *arguments: _P.args, **options: _P.kwargs) -> _Answer:
        return await asked.run(partial(question, asked.index, *arguments, **options))

    return ask


def _find_all(index: Index, *arguments: Any, **options: Any) -> list[Occurrence]:
    return list(index.find(*arguments, **options))


class AsyncIndex:
    """The questions of `Index`, awaited; `find` gives a list.

    index        the index itself
    num_threads  most questions at work at once
    """

    def __init__(self, index: Index, *, num_threads: int = 8) -> None:
        self.index = index
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix="index")

    @classmethod
    async def open(cls, path: Path | str, *, degraded: bool = False, num_threads: int = 8) -> Self:
        opened = await asyncio.to_thread(partial(Index.open, path, degraded=degraded))
        return cls(opened, num_threads=num_threads)

    count = _in_a_thread(Index.count)
    count_batch = _in_a_thread(Index.count_batch)
    prob = _in_a_thread(Index.prob)
    next = _in_a_thread(Index.next)
    next_batch = _in_a_thread(Index.next_batch)
    infgram_prob = _in_a_thread(Index.infgram_prob)
    infgram_next = _in_a_thread(Index.infgram_next)
    infgram_batch = _in_a_thread(Index.infgram_batch)
    score = _in_a_thread(Index.score)
    longest_matches = _in_a_thread(Index.longest_matches)
    spans = _in_a_thread(Index.spans)
    find = _in_a_thread(_find_all)
    search = _in_a_thread(Index.search)
    document = _in_a_thread(Index.document)
    occurrence = _in_a_thread(Index.occurrence)

    async def run(self, question: Callable[[], _Answer]) -> _Answer:
        """What `question` returns, called in one of the threads."""
        try:
            pending = self._threads.submit(question)
        except RuntimeError:
            # The threads have ended, which only `close` does; the index says so in its own words.
            self.index.count([])
            raise
        return await asyncio.wrap_future(pending)

    async def close(self) -> None:
        """Wait for the questions at work, then let go of the files."""
        await asyncio.to_thread(self._threads.shutdown)
        self.index.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
