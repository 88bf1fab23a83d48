import numpy as np
import pytest
import torch

from potstill.engine.token_masks import forbid_others


def mask_of(allowed_ids, vocab_size):
    mask = np.zeros(-(-vocab_size // 32), dtype=np.int32)
    for token_id in allowed_ids:
        mask[token_id // 32] |= np.array(1 << token_id % 32, dtype=np.uint32).view(np.int32)
    return mask


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("vocab_size", [3, 32, 33, 61, 100])
def test_what_no_bit_is_set_for_has_no_chance_and_nothing_else_changes(vocab_size, dtype):
    rng = np.random.default_rng(vocab_size)
    logits = torch.from_numpy(rng.standard_normal((3, vocab_size))).to(dtype)
    allowed_ids = sorted(rng.choice(vocab_size, size=2, replace=False).tolist())
    scores = logits.clone()
    forbid_others(scores, 1, mask_of(allowed_ids, vocab_size))
    assert torch.equal(scores[[0, 2]], logits[[0, 2]])
    assert torch.equal(scores[1, allowed_ids], logits[1, allowed_ids])
    assert (scores[1] > -torch.inf).nonzero()[:, 0].tolist() == allowed_ids


def test_where_the_model_rules_out_all_that_is_allowed_all_of_it_has_the_same_chance():
    scores = torch.tensor([[-torch.inf, 1.0, -torch.inf, -torch.inf]])
    forbid_others(scores, 0, mask_of([0, 3], 4))
    assert scores.tolist() == [[0.0, -torch.inf, -torch.inf, 0.0]]
