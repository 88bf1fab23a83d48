"""Pairs of next sentences on a scripted teacher."""

from itertools import permutations
from typing import Any

from potstill.synthesis.continuation import ContinuationGenerator, prompt_of
from potstill.synthesis.pair import Source
from potstill.synthesis.settings import SynthesisSettings
from potstill.types import TextRequest

SETTINGS = SynthesisSettings(generator="continuation", samples=4, temperature=0.7, top_p=0.9, max_tokens=30)
SOURCES = [Source(f"id{index}", f"Sentence {index}.", "Before." if index else "") for index in range(4)]


def echo(request: TextRequest) -> str:
    return f" Echo {request.sampling.seed} of {len(request.prompt)} characters."


def by_turns(*texts: Any) -> Any:
    """A script that gives the texts by turns, whatever order the requests are answered in."""
    given: dict[int, Any] = {}

    def script(request: TextRequest) -> Any:
        # Answered last to first: the last text goes to the first question asked.
        return given.setdefault(request.sampling.seed, texts[::-1][len(given) % len(texts)])

    return script


def test_k_sentences_of_a_context_make_k_times_k_minus_one_ordered_pairs(scripted: Any) -> None:
    candidates = ContinuationGenerator(scripted(echo), SETTINGS, seed=1).propose(SOURCES)
    assert len(candidates) == 4 * 4 * 3
    assert len({candidate.id for candidate in candidates}) == len(candidates)
    for source, start in zip(SOURCES, range(0, 48, 12), strict=True):
        own = candidates[start : start + 12]
        texts = list(dict.fromkeys(candidate.source for candidate in own))
        assert [(c.source, c.target_text) for c in own] == list(permutations(texts, 2))
        assert {candidate.context for candidate in own} == {prompt_of(source)}


def test_the_same_is_proposed_whatever_the_chunking(scripted: Any) -> None:
    generator = ContinuationGenerator(scripted(echo), SETTINGS, seed=1)
    at_once = generator.propose(SOURCES)
    assert at_once == [candidate for source in SOURCES for candidate in generator.propose([source])]
    assert at_once != ContinuationGenerator(scripted(echo), SETTINGS, seed=2).propose(SOURCES)


def test_equal_sentences_make_no_pair(scripted: Any) -> None:
    generator = ContinuationGenerator(scripted(by_turns("A.", " A.", "B.", "A. ")), SETTINGS, seed=1)
    pairs = [(c.source, c.target_text) for c in generator.propose(SOURCES[:1])]
    assert pairs == [("A.", "B."), ("B.", "A.")]
    assert ContinuationGenerator(scripted(lambda request: "A."), SETTINGS, seed=1).propose(SOURCES) == []


def test_empty_and_unfinished_sentences_make_no_pair(scripted: Any) -> None:
    script = by_turns("A.", "", "B.", ("C goes on", "length"))
    pairs = [
        (c.source, c.target_text)
        for c in ContinuationGenerator(scripted(script), SETTINGS, seed=1).propose(SOURCES[:1])
    ]
    assert pairs == [("A.", "B."), ("B.", "A.")]


def test_a_pair_carries_the_seed_its_target_was_drawn_with(scripted: Any) -> None:
    for candidate in ContinuationGenerator(scripted(echo), SETTINGS, seed=1).propose(SOURCES):
        assert f"Echo {candidate.seed} of" in candidate.target_text


def test_requests_follow_the_paper(scripted: Any) -> None:
    teacher = scripted(echo)
    ContinuationGenerator(teacher, SETTINGS, seed=1).propose(SOURCES)
    assert [request.prompt for request in teacher.requests[::4]] == [prompt_of(source) for source in SOURCES]
    for request in teacher.requests:
        sampling = request.sampling
        assert (sampling.temperature, sampling.top_p, sampling.no_repeat_ngram_size) == (0.7, 0.9, 3)
        assert sampling.stop_at_first_sentence


def test_the_prompt_is_the_text_up_to_and_with_the_source() -> None:
    assert [prompt_of(source) for source in SOURCES[:2]] == ["Sentence 0.", "Before. Sentence 1."]
