"""How many tokens does a step give with each drafter and setting? Counted over whole texts, without timing.

On what: texts that Gemma 3 270M wrote greedily after prompts of five kinds, none of which
bench_speculation.py reports on; summaries that people wrote, and Python modules. A text is gone through as
the engine writes it, without its switch: a draft is as long as the text's threshold lets it be, and kept as
far as it is what stands there. What lookahead decoding guesses hangs on what the model draws after wrong
guesses, so there the model writes. Against what: one token a step. Ceiling: 17, 16 guesses being kept.

    python benchmarks/bench_drafts.py --data FOLDER --work FOLDER [--out FILE]
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import speculation_workload as workload
from bench_speculation import build_indexes
from decode_options import Options
from provenance import provenance

from potstill.devices import use_threads
from potstill.engine.draft_length import MOST_DRAFTED, DraftLength
from potstill.engine.drafts.beliefs import belief
from potstill.engine.drafts.draft import Draft, Drafter, DraftRequest
from potstill.engine.drafts.growing_draft import GrowingDraft
from potstill.engine.drafts.infinigram import InfinigramDraft
from potstill.engine.drafts.lookahead import Lookahead
from potstill.engine.drafts.prompt_lookup import PromptLookup, num_alike
from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.engine.uniforms import Uniforms
from potstill.hub.resolve import resolve
from potstill.index.reader import Index
from potstill.lm.context import Context
from potstill.lm.load import load_lm
from potstill.lm.protocol import BatchedDecoder, StepRow
from potstill.progress import Lines
from potstill.types import SamplingParams

NUM_REPORTED, NUM_TEXTS, NUM_LOOKED_AHEAD = 16, 12, 4
WRITTEN_TOKENS, MODULE_TOKENS = 96, (600, 1400)
GREEDY = SamplingParams(temperature=0, max_tokens=WRITTEN_TOKENS)
ASKS = {"xsum": "\n\nIn one sentence: ", "cnn_dailymail": "\n\nHighlights:\n- "}


class Text(NamedTuple):
    kind: str
    prompt_ids: tuple[int, ...]
    output_ids: tuple[int, ...]

    @property
    def domain(self) -> str | None:
        return workload.DOMAINS.get(self.kind.split(",")[0])


# What is drawn after a text and each beginning of the guesses that follow it.
Draws = Callable[[Sequence[int], Sequence[int]], list[int]]


def main() -> None:
    asked = parse()
    asked.work.mkdir(parents=True, exist_ok=True)
    path = resolve(asked.model, progress=Lines(sys.stderr)).path
    options = Options(asked.model, path, asked.work, None, use_threads(), 1, False, 0, 0)
    params = EngineParams(max_batch=8)
    decoder, tokenizer = load_lm(path, dtype="int8", params=params)
    opened = build_indexes(options, asked.data)
    indexes = {domain: Index.open(where) for domain, where in opened.items()}
    written = list(written_texts(decoder, params, tokenizer.encode, asked.data))
    texts = written + list(read_texts(tokenizer.encode, asked.data))
    found = {name: replayed(texts, make) for name, make in settings(decoder.vocab_size, indexes).items()}
    few = [
        text
        for _, group in groupby(written, lambda text: text.kind)
        for text in list(group)[:NUM_LOOKED_AHEAD]
    ]
    for window, ngram in ((2, 3), (4, 4), (8, 3), (8, 4), (15, 4)):
        drafter = Lookahead(decoder.vocab_size, window, ngram)
        found[f"lookahead, window {window}, ngram {ngram}"] = looked_ahead(decoder, few, drafter)
    results = {"subject": "drafts", "model": asked.model, "tokens_a_step": found, **provenance()}
    if asked.out:
        asked.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps({"out": str(asked.out), "machine": results["machine"], "commit": results["commit"]}))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of data sets")
    parser.add_argument("--work", type=Path, required=True, help="where indexes are kept")
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def settings(vocab_size: int, indexes: Mapping[str, Index]) -> dict[str, Callable[[Text], Drafter | None]]:
    """A drafter for a text; none where a text is of no domain that has an index."""

    def with_index(text: Text, **changes: int) -> Drafter | None:
        index = indexes.get(text.domain or "")
        return None if index is None else InfinigramDraft(vocab_size, index, **changes)

    found: dict[str, Callable[[Text], Drafter | None]] = {
        f"prompt lookup, longest {longest}": lambda _, n=longest: PromptLookup(vocab_size, n)
        for longest in (1, 2, 3, 4, 6)
    }
    found["prompt lookup, longest 3, first place"] = lambda _: FirstPlace(vocab_size)
    for longest in (3, 4, 8, 16, 32, 64):
        name = f"infinigram of the text, longest {longest}"
        found[name] = lambda _, n=longest: InfinigramDraft(vocab_size, longest=n)
    for bias in (0, 1, 2, 3, 5):
        found[f"infinigram of an index, bias {bias}"] = lambda text, b=bias: with_index(text, bias=b)
    for budget in (16, 256):
        name = f"infinigram of an index, budget {budget}"
        found[name] = lambda text, b=budget: with_index(text, budget=b)
    return found


def written_texts(
    decoder: BatchedDecoder, params: EngineParams, encode: workload.Encode, data: Path
) -> Iterator[Text]:
    for kind in workload.KINDS:
        prompts = workload.prompts(kind, data, encode, NUM_REPORTED + NUM_TEXTS)[NUM_REPORTED:]
        engine = Engine(decoder, params, eos_ids=())
        sequences = [engine.add(prompt.prompt_ids, GREEDY) for prompt in prompts]
        while engine.has_work:
            engine.step()
        print(f"{kind}: {len(sequences)} texts are written", file=sys.stderr)
        for sequence in sequences:
            yield Text(kind, tuple(sequence.prompt_ids), tuple(sequence.output_ids))


def read_texts(encode: workload.Encode, data: Path) -> Iterator[Text]:
    """What people wrote."""
    for name, ask in ASKS.items():
        records = workload.read(data / "document_summarization" / f"{name}.jsonl.gz")
        for record in islice(records, NUM_REPORTED, NUM_REPORTED + NUM_TEXTS):
            prompt_ids = encode(record["input"].strip() + ask)
            yield Text(f"{name}, by people", tuple(prompt_ids), tuple(encode(record["summary"])))
    for path in workload.prompt_modules()[NUM_REPORTED : NUM_REPORTED + NUM_TEXTS]:
        ids = tuple(encode(path.read_text(encoding="utf-8", errors="replace")))
        start, stop = MODULE_TOKENS
        yield Text("code, by people", ids[:start], ids[start:stop])


def replayed(texts: Sequence[Text], make: Callable[[Text], Drafter | None]) -> dict[str, Any]:
    counts: dict[str, Counts] = {}
    for text in texts:
        drafter = make(text)
        if drafter is not None:

            def read(before: Sequence[int], guesses: Sequence[int], text: Text = text) -> list[int]:
                return list(text.output_ids[len(before) : len(before) + len(guesses) + 1])

            count = counts.setdefault(text.kind, Counts())
            count.follow(drafter, text, read)
    return {kind: count.told for kind, count in counts.items()}


def looked_ahead(decoder: BatchedDecoder, texts: Sequence[Text], drafter: Drafter) -> dict[str, Any]:
    counts: dict[str, Counts] = {}
    for text in texts:
        counts.setdefault(text.kind, Counts()).follow(drafter, text, drawing(decoder, text.prompt_ids))
    return {kind: count.told for kind, count in counts.items()}


def drawing(decoder: BatchedDecoder, prompt_ids: tuple[int, ...]) -> Draws:
    """The model itself, greedy, with one text in its cache."""
    num_prompt = decoder.num_prepended + len(prompt_ids)
    table = range(-(-(num_prompt + WRITTEN_TOKENS + MOST_DRAFTED) // decoder.block_size))
    decoder.step([StepRow(Context(prompt_ids), 0, num_prompt, table)])

    def draw(before: Sequence[int], guesses: Sequence[int]) -> list[int]:
        context = Context(prompt_ids, (*before, *guesses))
        num_cached, num_new = num_prompt + len(before) - 1, len(guesses) + 1
        logits = decoder.step([StepRow(context, num_cached, num_new, table, num_logits=num_new)])
        drawn: list[int] = logits.argmax(-1).tolist()
        return drawn

    return draw


class FirstPlace:
    """Prompt lookup that takes the first place where the most tokens match, as was published."""

    def __init__(self, vocab_size: int, longest: int = 3) -> None:
        self.vocab_size, self.longest = vocab_size, longest

    def propose(self, requests: Sequence[DraftRequest]) -> list[Draft]:
        return [self._draft(request) for request in requests]

    def observe(self, text_id: int, draft: Draft, drawn_ids: Sequence[int]) -> None: ...

    def forget(self, text_id: int) -> None: ...

    def _draft(self, request: DraftRequest) -> Draft:
        draft, ids = GrowingDraft(request), list(request.context.token_ids)
        while not draft.is_full and (end := self._place(ids)) is not None:
            draft.add(ids[end], belief(1, 1, num_alike(ids, end)))
            ids.append(ids[end])
        return draft.taken()

    def _place(self, ids: list[int]) -> int | None:
        for length in range(min(self.longest, len(ids) - 1), 0, -1):
            ends = range(length, len(ids))
            found = next((end for end in ends if ids[end - length : end] == ids[-length:]), None)
            if found is not None:
                return found
        return None


class Counts:
    """Of texts that were gone through."""

    def __init__(self) -> None:
        self.num_tokens = self.num_steps = self.num_guesses = 0

    def follow(self, drafter: Drafter, text: Text, draws: Draws) -> None:
        written: list[int] = []
        length, uniforms, num_tokens = DraftLength(), Uniforms(0), len(text.output_ids)
        while len(written) < num_tokens:
            context, most = Context(text.prompt_ids, tuple(written)), num_tokens - len(written)
            request = DraftRequest(0, context, min(most, MOST_DRAFTED), length.threshold, GREEDY, uniforms)
            (draft,) = drafter.propose([request])
            drawn = draws(written, draft.token_ids)
            num_kept = draft.num_kept(drawn)
            if draft.token_ids:
                length.learn(draft.probs, num_kept)
                drafter.observe(0, draft, drawn)
            written += drawn[: num_kept + 1]
            self.num_steps += 1
            self.num_guesses += len(draft.token_ids)
        self.num_tokens += num_tokens
        drafter.forget(0)

    @property
    def told(self) -> dict[str, float]:
        return {
            "tokens_a_step": self.num_tokens / self.num_steps,
            "guesses_a_step": self.num_guesses / self.num_steps,
            "num_tokens": self.num_tokens,
        }


if __name__ == "__main__":
    main()
