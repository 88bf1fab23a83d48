"""Few-shot proposals on a scripted teacher."""

from dataclasses import replace
from typing import Any

import pytest

from potstill.synthesis.few_shot import FewShotGenerator, shot_variants
from potstill.synthesis.pair import CorpusSpan, Source
from potstill.synthesis.settings import SynthesisSettings
from potstill.tasks.task import Limits, Shot, Task
from potstill.types import TextRequest

SHOTS = tuple(Shot(f"Long source {index}.", f"Short {index}.") for index in range(6))
TASK = Task("t", "one_way", "Shorten.", "Long:", "Short:", Limits(), SHOTS)
SETTINGS = SynthesisSettings(samples=3, shots=2, prompt_variants=4, temperature=0.6, top_p=0.8, max_tokens=9)
SOURCES = [
    Source(f"id{index}", f"The source number {index}.", "Before.", span=CorpusSpan("f", 0, index, index + 9))
    for index in range(5)
]


def echo(request: TextRequest) -> str:
    """A text that tells the whole request apart from every other."""
    return f"Echo {request.sampling.seed} of {len(request.prompt)} characters."


def test_every_source_gets_its_samples_in_order(scripted: Any) -> None:
    candidates = FewShotGenerator(scripted(echo), TASK, SETTINGS, seed=1).propose(SOURCES)
    assert [candidate.source for candidate in candidates] == [s.text for s in SOURCES for _ in range(3)]
    assert len({candidate.id for candidate in candidates}) == 15
    assert len({candidate.seed for candidate in candidates}) == 15
    for candidate in candidates:
        assert f"Echo {candidate.seed} of" in candidate.target_text
        assert (candidate.generator, candidate.context) == ("few_shot", "Before.")
    assert [candidate.span for candidate in candidates] == [s.span for s in SOURCES for _ in range(3)]


def test_the_same_is_proposed_whatever_the_chunking(scripted: Any) -> None:
    generator = FewShotGenerator(scripted(echo), TASK, SETTINGS, seed=1)
    at_once = generator.propose(SOURCES)
    one_by_one = [candidate for source in SOURCES for candidate in generator.propose([source])]
    assert at_once == one_by_one
    assert at_once == FewShotGenerator(scripted(echo), TASK, SETTINGS, seed=1).propose(SOURCES)
    assert at_once != FewShotGenerator(scripted(echo), TASK, SETTINGS, seed=2).propose(SOURCES)
    assert generator.propose([]) == []


def test_requests_carry_the_settings_and_a_prompt_of_the_task(scripted: Any) -> None:
    teacher = scripted(echo)
    FewShotGenerator(teacher, TASK, SETTINGS, seed=1).propose(SOURCES)
    variants = shot_variants(TASK, SETTINGS, 1)
    prompts = {TASK.few_shot_prompt(shots, source.text) for shots in variants for source in SOURCES}
    for request in teacher.requests:
        assert request.prompt in prompts
        sampling = request.sampling
        assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0.6, 0.8, 9)
        assert sampling.stop == ("\n",)
    used = {request.prompt.split("Long: The source")[0] for request in teacher.requests}
    assert used == {TASK.few_shot_prefix(shots) for shots in variants}


@pytest.mark.parametrize(
    ("written", "reason", "target_text", "is_finished"),
    [
        ("  It is short. ", "stop", "It is short.", True),
        ("It is short. And more", "stop", "It is short.", True),
        ("It is short. And more", "length", "It is short.", True),
        ("It is short", "length", "It is short", False),
        ("It is short.", "length", "It is short.", False),
        ("Mr. Lee left", "length", "Mr. Lee left", False),
        ("no end", "stop", "no end", True),
        ("", "stop", "", True),
    ],
)
def test_the_first_sentence_is_kept_and_known_to_be_whole(
    scripted: Any, written: str, reason: str, target_text: str, is_finished: bool
) -> None:
    generator = FewShotGenerator(scripted(lambda request: (written, reason)), TASK, SETTINGS, seed=1)
    candidate = generator.propose(SOURCES[:1])[0]
    assert (candidate.target_text, candidate.is_finished) == (target_text, is_finished)


def test_variants_differ_and_hold_different_shots() -> None:
    for seed in range(30):
        variants = shot_variants(TASK, SETTINGS, seed)
        assert len(set(variants)) == len(variants) == 4
        assert all(len(set(shots)) == 2 and set(shots) <= set(SHOTS) for shots in variants)
    assert shot_variants(TASK, SETTINGS, 5) == shot_variants(TASK, SETTINGS, 5)


def test_there_are_no_more_variants_than_orders_of_the_shots() -> None:
    two = replace(TASK, shots=SHOTS[:2])
    settings = replace(SETTINGS, shots=5, prompt_variants=7)
    assert sorted(shot_variants(two, settings, 1), key=str) == [SHOTS[:2], SHOTS[1::-1]]
    assert shot_variants(replace(TASK, shots=SHOTS[:1]), settings, 1) == [SHOTS[:1]]
