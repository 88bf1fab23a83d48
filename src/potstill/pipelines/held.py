"""A model that can be let go while callers still hold on to what would use it, and one caller at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, get_ident
from typing import Generic, TypeVar

from potstill.errors import UsageError

_Model = TypeVar("_Model")


class Held(Generic[_Model]):
    """The only reference to a model: nothing else keeps one for longer than a call."""

    def __init__(self, model: _Model) -> None:
        self._model: _Model | None = model

    @property
    def model(self) -> _Model:
        """UsageError once it is let go."""
        if self._model is None:
            raise UsageError("This pipeline is closed and its model is gone. Make a new one: pipeline(...).")
        return self._model

    def let_go(self) -> None:
        self._model = None


class CallTurn:
    """Whose turn it is: a thread waits for the others, and is told where it would wait for itself."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._holder: int | None = None

    @property
    def is_mine(self) -> bool:
        return self._holder == get_ident()

    @contextmanager
    def taken(self) -> Iterator[None]:
        if self.is_mine:
            raise UsageError(
                "This pipeline still writes a text that is streamed. Read it to its end, or close it "
                "(`pieces.close()`), before the next call."
            )
        self._lock.acquire()
        self._holder = get_ident()
        try:
            yield
        finally:
            # A stream may be closed by another thread than the one that began it.
            self._holder = None
            self._lock.release()
