import random
from dataclasses import replace

import pytest
import torch

from potstill.errors import DamagedError, UsageError
from potstill.lm import scoring
from potstill.lm.context import Context
from potstill.lm.decoder import NeuralDecoder
from potstill.models.decoder import Decoder
from potstill.models.native_decoder import NativeRunner
from potstill.models.runner import TorchRunner


def score_slowly(model, prompt_ids, target_ids):
    """The definition: one token after the other."""
    return sum(
        float(model.next_logprobs([Context(prompt_ids, target_ids[:position])])[0, token_id])
        for position, token_id in enumerate(target_ids)
    )


def some_requests(vocab_size, shortest_prompt):
    rng = random.Random(6)

    def draw(count):
        return tuple(rng.randrange(vocab_size) for _ in range(count))

    prompts = [draw(rng.randrange(shortest_prompt, 14)) for _ in range(6)]
    prompts += [prompts[0][: len(prompts[0]) // 2 + 1] + draw(9), draw(30)]
    requests = [(rng.choice(prompts), draw(rng.randrange(9))) for _ in range(16)]
    return requests + requests[:5] + [(prompts[1] + requests[3][1], draw(2))]


@pytest.mark.parametrize("batch_tokens", [1, 24, 4096])
@pytest.mark.parametrize("name", ["gemma", "llama"])
def test_scores_equal_the_definition_token_by_token(name, batch_tokens, request):
    model = request.getfixturevalue(name)
    requests = some_requests(model.vocab_size, shortest_prompt=1 - model.num_prepended)
    got = scoring.score_targets(model, requests, batch_tokens=batch_tokens)
    expected = [score_slowly(model, *asked) for asked in requests]
    torch.testing.assert_close(torch.tensor(got), torch.tensor(expected), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["gemma", "llama"])
def test_the_native_program_scores_as_the_modules_do(name, request):
    model = request.getfixturevalue(name)
    requests = some_requests(model.vocab_size, shortest_prompt=1 - model.num_prepended)
    expected = scoring.score_targets(model, requests, batch_tokens=24)
    native = NeuralDecoder(NativeRunner.of(model.decoder, "fp32"), bos_id=model.bos_id, kv_bytes=1 << 20)
    for batch_tokens in (24, 4096):
        got = scoring.score_targets(native, requests, batch_tokens=batch_tokens)
        torch.testing.assert_close(torch.tensor(got), torch.tensor(expected), rtol=1e-4, atol=1e-3)


def test_what_requests_share_is_run_once(gemma, monkeypatch):
    sizes = []
    forward = gemma.decoder.forward
    monkeypatch.setattr(
        gemma.decoder, "forward", lambda ids, seen: sizes.append(len(ids)) or forward(ids, seen)
    )
    prompt = tuple(range(20))
    scoring.score_targets(gemma, [(prompt, (last, 3)) for last in range(10)] + [(prompt, (4, 3))])
    # 22 positions are run (the last target token is not), five blocks of four are shared.
    assert sizes == [22 + 9 * 2]


def test_progress_counts_every_request(gemma):
    class Counted:
        count = 0

        def advance(self, count=1):
            self.count += count

        def note(self, text):
            pass

    task = Counted()
    requests = [((1, 2), (3,)), ((1, 2), (3,)), ((1,), ()), ((5,), (6, 7))]
    assert scoring.score_targets(gemma, requests, batch_tokens=1, task=task)[2] == 0
    assert task.count == 4


@pytest.mark.parametrize("softcap", [None, 3.0])
def test_logits_made_in_chunks_give_what_all_at_once_give(gemma, softcap):
    decoder = Decoder(replace(gemma.decoder.config, logit_softcap=softcap))
    hidden = torch.randn(50, 32, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(50)
    with torch.inference_mode():
        got = scoring.label_logprobs(
            TorchRunner(decoder), hidden, labels, buffer=torch.empty(7, decoder.config.vocab_size)
        )
        expected = decoder.logits(hidden).log_softmax(-1)[labels, labels]
    torch.testing.assert_close(got, expected)


def test_a_model_whose_logits_are_no_numbers_is_damaged(gemma):
    with torch.no_grad():
        gemma.decoder.model.norm.weight[0] = torch.nan
    with pytest.raises(DamagedError, match="no numbers"):
        scoring.score_targets(gemma, [((1,), (2,))])


def test_a_target_that_cannot_be_scored_is_refused_with_its_numbers(gemma, llama):
    with pytest.raises(UsageError, match="no BOS"):
        scoring.score_targets(llama, [((), (1, 2))])
    with pytest.raises(UsageError, match="prompt of 60 tokens and a target of 10 .* 64 positions"):
        scoring.score_targets(gemma, [((1,) * 60, (1,) * 10)])
