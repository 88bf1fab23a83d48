import pytest
import torch

from potstill.engine.logprobs import alternatives, likeliest
from potstill.engine.sampling import log_sums
from potstill.errors import DamagedError


@pytest.mark.parametrize("vocab_size", [1, 7, 128, 1000, 128 * 41, 5003])
@pytest.mark.parametrize("count", [1, 8, 20])
def test_the_likeliest_are_those_of_a_whole_sort(vocab_size, count):
    logprobs = torch.randn(5, vocab_size, generator=torch.manual_seed(vocab_size)).log_softmax(-1)
    sorted_values, sorted_ids = logprobs.sort(descending=True)
    found = likeliest(logprobs, count)
    assert torch.equal(found.scores, sorted_values[:, :count])
    assert torch.equal(found.token_ids, sorted_ids[:, :count])


def test_the_likeliest_are_found_where_a_piece_holds_them_all_and_at_the_very_end():
    logprobs = torch.full((2, 128 * 50 + 3), -torch.inf)
    logprobs[0, 256:276] = torch.arange(20.0)
    logprobs[1, -3:] = torch.tensor([-2.0, -1.0, -3.0])
    found = likeliest(logprobs, 20)
    assert found.token_ids[0].tolist() == list(range(275, 255, -1))
    assert found.token_ids[1, :3].tolist() == [6401, 6400, 6402]
    assert found.scores[1, 3:].eq(-torch.inf).all()


@pytest.mark.parametrize("vocab_size", [9, 3000])
def test_of_equals_the_lower_ids_go_first_and_stay(vocab_size):
    """Coarse scores, as of bfloat16, so that equals are many."""
    logprobs = torch.randint(-4, 0, (6, vocab_size), generator=torch.manual_seed(4)).float()
    logprobs[5, 2:] = -torch.inf
    for count in (1, 5, 8):
        want = logprobs.sort(descending=True, stable=True)
        found = likeliest(logprobs, count)
        assert torch.equal(found.scores, want.values[:, :count])
        is_finite = found.scores.isfinite()
        assert torch.equal(found.token_ids[is_finite], want.indices[:, :count][is_finite])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_rows_log_sum_is_its_own_whatever_the_batch(dtype):
    logits = (5 * torch.randn(9, 3000, generator=torch.manual_seed(1))).to(dtype)
    alone = torch.cat([log_sums(logits[row : row + 1]) for row in range(9)])
    assert torch.equal(log_sums(logits), alone)
    torch.testing.assert_close(alone, logits.float().logsumexp(-1), rtol=1e-6, atol=1e-5)


def test_rows_that_ask_are_told_the_models_own_numbers_and_others_nothing():
    logits = torch.randn(3, 50, generator=torch.manual_seed(2)).bfloat16()
    want, written = logits.float().log_softmax(-1), [4, 5, 6]
    logprobs = [want[row, token_id].item() for row, token_id in enumerate(written)]
    first, nothing, last = alternatives(logits, [2, 0, 5], written, logprobs)
    assert nothing is None
    assert first.token_id == 4 and first.logprob == logprobs[0] and len(first.likeliest) == 2
    assert [token_id for token_id, _ in last.likeliest] == want[2].topk(5).indices.tolist()
    assert [value for _, value in last.likeliest] == pytest.approx(want[2].topk(5).values.tolist())


def test_more_alternatives_than_tokens_give_every_token():
    (told,) = alternatives(torch.zeros(1, 3), [20], [0], [-1.0986])
    assert len(told.likeliest) == 3


def test_tokens_that_the_model_rules_out_are_not_told():
    (told,) = alternatives(torch.tensor([[0.0, -torch.inf, 0.0]]), [3], [0], [-0.69])
    assert [token_id for token_id, _ in told.likeliest] == [0, 2]


def test_nothing_is_computed_where_nobody_asks():
    class Untouchable:
        def __getattr__(self, name):
            raise AssertionError("the scores were looked at")

    assert alternatives(Untouchable(), [0, 0], [1, 2], [-1.0, -1.0]) == [None, None]


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
def test_scores_that_are_no_numbers_are_damage(wrong):
    logits = torch.full((1, 9), wrong)
    with pytest.raises(DamagedError, match="weights are damaged"):
        log_sums(logits)


def test_one_score_that_is_no_number_is_seen_wherever_it_stands():
    logits = torch.zeros(2, 300)
    logits[1, 257] = torch.nan
    with pytest.raises(DamagedError, match="weights are damaged"):
        log_sums(logits)
