"""Every draft that potstill has, for tests that hold for all of them."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from index.small_index import small_index
from potstill.engine.drafts.decoder_draft import DecoderDraft
from potstill.engine.drafts.draft import Drafter
from potstill.engine.drafts.infinigram import InfinigramDraft
from potstill.engine.drafts.lookahead import Lookahead
from potstill.engine.drafts.model_draft import ModelDraft
from potstill.engine.drafts.prompt_lookup import PromptLookup
from potstill.engine.params import EngineParams
from potstill.index.reader import Index
from potstill.lm.protocol import NextTokenModel
from potstill.lm.stateless import Stateless


class DraftCase(NamedTuple):
    """`make` gives a drafter for a target with these next-token probabilities."""

    name: str
    make: Callable[[NextTokenModel], Drafter]

    def __str__(self) -> str:
        return self.name


class Near:
    """Not quite the target: its probabilities, each changed by up to a third, the same at every context."""

    def __init__(self, target: NextTokenModel) -> None:
        self.target, self.vocab_size = target, target.vocab_size
        self.change = np.random.default_rng(4).uniform(-0.4, 0.4, target.vocab_size)

    def next_logprobs(self, contexts):
        scores = self.target.next_logprobs(contexts) + self.change
        return (scores - np.log(np.exp(scores).sum(-1, keepdims=True))).astype(np.float32)


def _index(vocab_size: int) -> Index:
    """Of texts that count up, as some targets do, and that repeat."""
    up = [number % vocab_size for number in range(2 * vocab_size)]
    # What is mapped stays readable when the files are gone.
    with TemporaryDirectory() as folder:
        return small_index(Path(folder), [[up, [1, 0, 1, 0, 1, 1, 0]], [up[1:9]]], vocab_size=vocab_size)


def _infinigram(target: NextTokenModel) -> Drafter:
    # The end of a document is a token more.
    return InfinigramDraft(target.vocab_size, _index(target.vocab_size - 1))


def _small(target: NextTokenModel) -> Drafter:
    """In a cache that holds two or three texts, with a step's positions limited."""
    return DecoderDraft(Stateless(Near(target), num_blocks=30, block_size=2), EngineParams(max_step_tokens=5))


def _staged(target: NextTokenModel) -> Drafter:
    return DecoderDraft(Stateless(Near(target)), EngineParams(), PromptLookup(target.vocab_size))


EVERY_DRAFT = (
    DraftCase("prompt lookup", lambda target: PromptLookup(target.vocab_size)),
    DraftCase("infinigram of the text", lambda target: InfinigramDraft(target.vocab_size)),
    DraftCase("infinigram of an index", _infinigram),
    DraftCase("lookahead", lambda target: Lookahead(target.vocab_size, window=5, ngram=3, pool=20)),
    DraftCase("the definition of another model", lambda target: ModelDraft(Near(target))),
    DraftCase("another model", lambda target: DecoderDraft(Stateless(Near(target)), EngineParams())),
    DraftCase("another model without room", _small),
    DraftCase("the target", lambda target: DecoderDraft(Stateless(target), EngineParams())),
    DraftCase("staged", _staged),
)
