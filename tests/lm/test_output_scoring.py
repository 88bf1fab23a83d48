import numpy as np
import pytest

from lm.random_t5 import VOCAB_SIZE, random_t5
from potstill.errors import UsageError
from potstill.lm.context import Context
from potstill.lm.encoder_decoder import EncoderDecoder
from potstill.lm.output_scoring import score_outputs

PROMPTS = [(3, 9, 27, 1), (5, 6, 7, 8, 9, 10, 11, 1)]
OUTPUTS = [(4, 1), (4, 5, 6, 7, 1), (12, 1), (1,)]


def slow_score(model: EncoderDecoder, prompt: tuple[int, ...], output: tuple[int, ...]) -> float:
    contexts = [Context(prompt, output[:end]) for end in range(len(output))]
    logprobs = model.next_logprobs(contexts)
    return float(sum(logprobs[place, token] for place, token in enumerate(output)))


@pytest.mark.parametrize("fixture", ["t5", "native_t5"])
def test_scores_are_sums_of_the_definitions_logprobs(fixture: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(fixture)
    requests = [(prompt, output) for prompt in PROMPTS for output in OUTPUTS]
    got = score_outputs(model, requests)
    np.testing.assert_allclose(got, [slow_score(model, *one) for one in requests], atol=1e-4)


def test_a_cache_that_holds_one_output_at_a_time_gives_the_same(t5: EncoderDecoder) -> None:
    block_bytes = t5.cache_bytes // t5.num_blocks
    small = EncoderDecoder(random_t5(), kv_bytes=5 * block_bytes, block_size=4)
    requests = [(PROMPTS[1], output) for output in OUTPUTS]
    np.testing.assert_allclose(score_outputs(small, requests), score_outputs(t5, requests), atol=1e-5)


def test_what_does_not_fit_is_refused(t5: EncoderDecoder) -> None:
    assert score_outputs(t5, []) == []
    for wrong, said in (
        (((), (1,)), "empty"),
        (((1,), ()), "empty"),
        (((3,) * 65, (1,)), "prompt of 65 tokens"),
        (((3,), (VOCAB_SIZE - 1,) * 65), "output of 65 tokens"),
    ):
        with pytest.raises(UsageError, match=said):
            score_outputs(t5, [wrong])
