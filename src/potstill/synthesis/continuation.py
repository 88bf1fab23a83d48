"""Pairs of next sentences of one context: Impossible Distillation (arXiv:2305.16635v4, section 3).

Sentences that a model writes after the same context tend to say the same thing. So k of them are drawn, and
every ordered pair (m, n), m != n, is a candidate. The paper draws 100 with top_p 0.9 and temperature 0.7, no
trigram twice, and keeps the first sentence of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from potstill.seeds import derive_seed
from potstill.synthesis.pair import Candidate, Source, pair_id
from potstill.synthesis.settings import SynthesisSettings
from potstill.types import Completion, Generator, SamplingParams, TextRequest


@dataclass(frozen=True)
class ContinuationGenerator:
    """Proposes up to k (k - 1) pairs a source, of the sentences that may follow its context."""

    teacher: Generator
    settings: SynthesisSettings
    seed: int
    name: str = "continuation"

    def propose(self, sources: Sequence[Source]) -> list[Candidate]:
        asked = [(source, sample) for source in sources for sample in range(self.settings.samples)]
        completions = dict(self.teacher.complete([self._request(*pair) for pair in asked]))
        k = self.settings.samples
        return [
            candidate
            for index, source in enumerate(sources)
            for candidate in self._pairs(source, [completions[index * k + sample] for sample in range(k)])
        ]

    def _request(self, source: Source, sample: int) -> TextRequest:
        sampling = SamplingParams(
            temperature=self.settings.temperature,
            top_p=self.settings.top_p,
            no_repeat_ngram_size=3,
            max_tokens=self.settings.max_tokens,
            stop_at_first_sentence=True,
            seed=self._sample_seed(source, sample),
        )
        return TextRequest(prompt_of(source), sampling)

    def _pairs(self, source: Source, completions: Sequence[Completion]) -> list[Candidate]:
        # Equal sentences make no pair; the first draw of each stands for all.
        distinct = {
            completion.text.strip(): sample for sample, completion in reversed(list(enumerate(completions)))
        }
        finished = {
            text: sample
            for text, sample in distinct.items()
            # News breaks the line between sentences, so one that comes after a break counts; a break inside
            # one means that it is a heading or a list.
            if text and "\n" not in text and completions[sample].finish_reason == "stop"
        }
        ordered = sorted(finished.items(), key=lambda item: item[1])
        return [
            Candidate(
                id=pair_id(self.name, source.id, m, n),
                source=source_text,
                target_text=target_text,
                context=prompt_of(source),
                generator=self.name,
                seed=self._sample_seed(source, n),
                is_finished=True,
                span=source.span,
            )
            for (source_text, m), (target_text, n) in permutations(ordered, 2)
        ]

    def _sample_seed(self, source: Source, sample: int) -> int:
        return derive_seed(self.seed, self.name, source.id, sample)


def prompt_of(source: Source) -> str:
    """The text up to and with the source sentence: its next sentence is what is drawn."""
    return f"{source.context} {source.text}".strip()
