"""Sources that the teacher writes itself, for a run without a corpus.

The teacher is led into a news story by how such stories open, and its text is split into sentences; each
that reads like one becomes a source, with the sentences before it as its context (Impossible Distillation,
arXiv:2305.16635v4, section 3: `(MEDIA) --` half the time, `Country (MEDIA) --` a quarter, else a city too).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from potstill.corpus.prose import reads_like_a_sentence
from potstill.corpus.sentences import split_sentences
from potstill.seeds import derive_seed, random_generator
from potstill.synthesis.facts import words
from potstill.synthesis.pair import Source, pair_id
from potstill.synthesis.settings import SynthesisSettings
from potstill.types import Generator, SamplingParams, TextRequest

_STORY_TOKENS = 160
_MAX_CONTEXT_SENTENCES = 5
_AGENCIES = ("Reuters", "AP", "AFP", "BBC", "CNN", "UPI", "Bloomberg", "DPA")
_PLACES = (
    ("LONDON", "England"), ("PARIS", "France"), ("BERLIN", "Germany"), ("MADRID", "Spain"), ("ROME", "Italy"),
    ("LISBON", "Portugal"), ("DUBLIN", "Ireland"), ("OSLO", "Norway"), ("STOCKHOLM", "Sweden"),
    ("WARSAW", "Poland"), ("PRAGUE", "Czech Republic"), ("VIENNA", "Austria"), ("ATHENS", "Greece"),
    ("ANKARA", "Turkey"), ("CAIRO", "Egypt"), ("NAIROBI", "Kenya"), ("LAGOS", "Nigeria"), ("ACCRA", "Ghana"),
    ("PRETORIA", "South Africa"), ("RABAT", "Morocco"), ("DELHI", "India"), ("DHAKA", "Bangladesh"),
    ("KARACHI", "Pakistan"), ("COLOMBO", "Sri Lanka"), ("BANGKOK", "Thailand"), ("HANOI", "Vietnam"),
    ("MANILA", "Philippines"), ("JAKARTA", "Indonesia"), ("TOKYO", "Japan"), ("SEOUL", "South Korea"),
    ("BEIJING", "China"), ("SYDNEY", "Australia"), ("WELLINGTON", "New Zealand"), ("OTTAWA", "Canada"),
    ("CHICAGO", "United States"), ("HOUSTON", "United States"), ("SEATTLE", "United States"),
    ("BOSTON", "United States"), ("MEXICO CITY", "Mexico"), ("LIMA", "Peru"), ("BOGOTA", "Colombia"),
    ("SANTIAGO", "Chile"), ("BRASILIA", "Brazil"), ("BUENOS AIRES", "Argentina"), ("KINGSTON", "Jamaica"),
)  # fmt: skip


@dataclass(frozen=True)
class StoryWriter:
    """Sources out of stories the teacher writes; story `i` is the same whichever stories are asked for."""

    teacher: Generator
    settings: SynthesisSettings
    seed: int

    def write(self, stories: Sequence[int]) -> list[Source]:
        """The sources of these stories, in order; a story can give none or several."""
        completions = dict(self.teacher.complete([self._request(story) for story in stories]))
        return [
            source
            for index, story in enumerate(stories)
            for source in self._sources(story, completions[index].text)
        ]

    def _request(self, story: int) -> TextRequest:
        sampling = SamplingParams(
            temperature=self.settings.context_temperature,
            top_p=self.settings.top_p,
            max_tokens=_STORY_TOKENS,
            stop=("\n",),
            seed=derive_seed(self.seed, "story", story),
        )
        return TextRequest(news_prefix(random_generator(self.seed, "prefix", story)), sampling)

    def _sources(self, story: int, text: str) -> list[Source]:
        body = text.strip()
        spans = split_sentences(body)
        sentences = [body[span.start : span.end].strip() for span in spans]
        found = []
        for index, sentence in enumerate(sentences):
            length = len(words(sentence))
            is_fit = self.settings.min_words <= length <= self.settings.max_words
            if is_fit and reads_like_a_sentence(sentence):
                context = " ".join(sentences[max(0, index - _MAX_CONTEXT_SENTENCES) : index])
                found.append(
                    Source(
                        id=pair_id("story", self.seed, story, index),
                        text=sentence,
                        context=context,
                        seed=derive_seed(self.seed, "story", story),
                    )
                )
        return found


def news_prefix(rng: np.random.Generator) -> str:
    """`(Reuters) --`, `Kenya (AP) --` or `NAIROBI, Kenya (AFP) --`, with the paper's shares."""
    agency = _AGENCIES[rng.integers(len(_AGENCIES))]
    city, country = _PLACES[rng.integers(len(_PLACES))]
    draw = rng.random()
    if draw < 0.5:
        return f"({agency}) --"
    return f"{country} ({agency}) --" if draw < 0.75 else f"{city}, {country} ({agency}) --"
