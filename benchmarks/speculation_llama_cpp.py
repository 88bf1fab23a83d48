"""llama.cpp with and without its n-gram mode, in a child of bench_speculation.py.

The packaged class drafts for one sequence and asks logits of a whole prompt. Here its own prompt lookup
drafts, and llama_batch verifies for as many sequences as there are: what the packaged class could do at best.

    python speculation_llama_cpp.py THREADS MODEL.gguf               (asked over stdin, see decode_child.py)
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from decode_child import serve
from decode_llama_cpp import Context, Runner, Stream
from llama_cpp.llama_speculative import LlamaPromptLookupDecoding

LONGEST = 720


class DraftingRunner(Runner):
    _lookup: LlamaPromptLookupDecoding | None = None

    def run(
        self, requests: Sequence[Any], num_streams: int, settings: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """`num_draft` tokens at most after a match of `max_ngram`; 0 does not draft."""
        asked = {"num_draft": 0, "max_ngram": 2, **(settings or {})}
        num_draft = asked["num_draft"]
        self._lookup = LlamaPromptLookupDecoding(asked["max_ngram"], num_draft) if num_draft else None
        return super().run(requests, num_streams, {"longest": LONGEST})

    def _advance(self, context: Context, running: Sequence[Stream], requests: Sequence[Any]) -> None:
        """Every stream's pending tokens, and its draft behind them where it writes."""
        context.begin()
        drafts = [_draft(stream, requests[stream.index][0], self._lookup) for stream in running]
        for stream, draft in zip(running, drafts, strict=True):
            if draft:
                context.put(stream.slot, [*stream.pending, *draft], stream.num_past, all_logits=True)
            else:
                context.put(stream.slot, stream.pending, stream.num_past)
        logits = context.decode(sum(1 + len(draft) for draft in drafts))
        at = 0
        for stream, draft in zip(running, drafts, strict=True):
            drawn = logits[at : at + 1 + len(draft)].argmax(-1).tolist()
            at += len(drawn)
            _keep(context, stream, draft, drawn)


def _keep(context: Context, stream: Stream, draft: list[int], drawn: list[int]) -> None:
    num_kept = next((i for i, token in enumerate(draft) if token != drawn[i]), len(draft))
    stream.num_past += len(stream.pending) + num_kept
    stream.output += drawn[: num_kept + 1]
    stream.pending = [stream.output[-1]]
    if num_kept < len(draft):
        llama.llama_memory_seq_rm(context.memory, stream.slot, stream.num_past, -1)


def _draft(stream: Stream, prompt_ids: Sequence[int], lookup: Any) -> list[int]:
    room = stream.limit - len(stream.output) - 1
    # A prompt that is run in this step has one logit at its end.
    if lookup is None or not stream.output or room < 1:
        return []
    found: list[int] = lookup(np.array([*prompt_ids, *stream.output], dtype=np.intc)).tolist()
    return found[:room]


def load() -> Mapping[str, Callable[..., dict[str, Any]]]:
    runner = DraftingRunner(Path(sys.argv[2]), int(sys.argv[1]))
    return {"run": runner.run}


if __name__ == "__main__":
    serve(load)
