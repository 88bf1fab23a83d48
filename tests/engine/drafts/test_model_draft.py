import numpy as np
import pytest

from engine.drafts.changing_texts import request
from potstill.engine.drafts.model_draft import ModelDraft
from potstill.engine.engine import Engine
from potstill.engine.params import EngineParams
from potstill.lm.stateless import Stateless
from potstill.lm.table import TableModel
from potstill.types import SamplingParams

TARGET = TableModel({(): [4, 2, 1, 3], (0,): [1, 5, 1, 1], (1, 2): [1, 1, 9, 0], (3, 3): [5, 5, 1, 0]})


def written(sampling, prompt_ids):
    engine = Engine(Stateless(TARGET), EngineParams(), eos_ids=())
    sequence = engine.add(prompt_ids, sampling)
    while engine.has_work:
        engine.step()
    return tuple(sequence.output_ids)


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0},
        {"temperature": 1.3},
        {"top_k": 2},
        {"top_p": 0.6},
        {"min_p": 0.4},
        {"repetition_penalty": 2.0},
        {"temperature": 0, "no_repeat_ngram_size": 2},
    ],
    ids=str,
)
def test_the_target_as_its_own_draft_guesses_what_it_will_write(changes):
    for seed in range(6):
        sampling = SamplingParams(max_tokens=10, seed=seed, **changes)
        ids = written(sampling, [0, 1, 2])
        for num_known in (0, 4):
            asked = request(
                (0, 1, 2, *ids[:num_known]), num_prompt=3, most_tokens=10 - num_known, sampling=sampling
            )
            (draft,) = ModelDraft(TARGET).propose([asked])
            assert draft.token_ids == ids[num_known:]


def test_probabilities_are_the_models_own_and_a_draft_ends_where_it_is_unlikely():
    (draft,) = ModelDraft(TARGET).propose([request([1, 0], least_prob=0.3)])
    assert draft.token_ids == (1, 0) and draft.probs == pytest.approx([5 / 8, 4 / 10])
    assert np.prod(draft.probs) < 0.3 <= draft.probs[0]
    (draft,) = ModelDraft(TARGET).propose([request([1, 0], least_prob=0.0, most_tokens=5)])
    assert len(draft.token_ids) == 5


def test_where_no_token_is_likelier_than_another_nothing_is_guessed():
    even = TableModel({(): [1] * 300, (7,): [1] * 299 + [2]})
    (draft, other) = ModelDraft(even).propose([request([7]), request([8])])
    assert draft.token_ids == (299,) and other.token_ids == ()
