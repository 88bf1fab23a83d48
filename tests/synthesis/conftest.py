"""A generator that follows a script: the double that the proposing modules are tested on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from potstill.types import Completion, FinishReason, TextRequest

Script = Callable[[TextRequest], str | tuple[str, FinishReason]]


@dataclass
class ScriptedGenerator:
    """Answers a request by `script`, the last request first, and keeps every request it saw."""

    script: Script
    requests: list[TextRequest] = field(default_factory=list)

    def complete(self, requests: Sequence[TextRequest]) -> Iterator[tuple[int, Completion]]:
        self.requests += requests
        for index in reversed(range(len(requests))):
            written = self.script(requests[index])
            if isinstance(written, str):
                yield index, Completion(written, (), "stop", 0.0)
            else:
                yield index, Completion(written[0], (), written[1], 0.0)


@pytest.fixture
def scripted() -> type[ScriptedGenerator]:
    return ScriptedGenerator
