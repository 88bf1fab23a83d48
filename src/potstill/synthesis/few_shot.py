"""Targets by few-shot prompting of the teacher.

Requests are spread over a few choices of examples. All requests over one choice begin with the same tokens,
which the engine computes once; several choices keep the student from learning the habits of one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from potstill.corpus.sentences import first_sentence
from potstill.seeds import derive_seed, random_generator
from potstill.synthesis.pair import Candidate, Source, pair_id
from potstill.synthesis.settings import SynthesisSettings
from potstill.tasks.task import Shot, Task
from potstill.types import Completion, Generator, SamplingParams, TextRequest


@dataclass(frozen=True)
class FewShotGenerator:
    """Proposes `settings.samples` targets a source; the same seed proposes the same, whatever the chunk."""

    teacher: Generator
    task: Task
    settings: SynthesisSettings
    seed: int
    name: str = "few_shot"

    def propose(self, sources: Sequence[Source]) -> list[Candidate]:
        asked = [(source, sample) for source in sources for sample in range(self.settings.samples)]
        variants = shot_variants(self.task, self.settings, self.seed)
        requests = [self._request(source, sample, variants) for source, sample in asked]
        completions = dict(self.teacher.complete(requests))
        return [
            self._candidate(source, sample, completions[index])
            for index, (source, sample) in enumerate(asked)
        ]

    def _request(self, source: Source, sample: int, variants: Sequence[tuple[Shot, ...]]) -> TextRequest:
        seed = derive_seed(self.seed, self.name, source.id, sample)
        shots = variants[seed % len(variants)]
        sampling = SamplingParams(
            temperature=self.settings.temperature,
            top_p=self.settings.top_p,
            max_tokens=self.settings.max_tokens,
            stop=("\n",),
            seed=seed,
        )
        return TextRequest(self.task.few_shot_prompt(shots, source.text), sampling)

    def _candidate(self, source: Source, sample: int, completion: Completion) -> Candidate:
        text = completion.text.strip()
        target_text = first_sentence(text, is_complete=True) or ""
        return Candidate(
            id=pair_id(self.name, source.id, sample),
            source=source.text,
            target_text=target_text,
            context=source.context,
            generator=self.name,
            seed=derive_seed(self.seed, self.name, source.id, sample),
            # A text cut off by the token limit may hold a whole sentence all the same.
            is_finished=completion.finish_reason == "stop" or len(target_text) < len(text),
            span=source.span,
        )


def shot_variants(task: Task, settings: SynthesisSettings, seed: int) -> list[tuple[Shot, ...]]:
    """`prompt_variants` different draws of `shots` examples, in order; fewer where there are not as many."""
    rng = random_generator(seed, "shots")
    count = min(settings.shots, len(task.shots))
    wanted = min(settings.prompt_variants, math.perm(len(task.shots), count))
    drawn: dict[tuple[int, ...], None] = {}
    while len(drawn) < wanted:
        drawn[tuple(rng.permutation(len(task.shots))[:count].tolist())] = None
    return [tuple(task.shots[index] for index in choice) for choice in drawn]
