import pytest
import torch

from potstill.errors import ConfigError, DamagedError, UsageError
from potstill.lm.context import Context
from potstill.lm.decoder import NeuralDecoder
from potstill.lm.protocol import StepRow


def test_a_model_with_a_bos_may_be_asked_about_nothing(gemma, llama):
    assert gemma.next_logprobs([Context(())]).shape == (1, gemma.vocab_size)
    with pytest.raises(UsageError, match="no BOS"):
        llama.next_logprobs([Context((1,)), Context(())])


def test_the_bos_is_the_models_own(gemma, llama):
    without = NeuralDecoder(gemma.decoder, bos_id=None, kv_bytes=1 << 20)
    expected = torch.from_numpy(without.next_logprobs([Context((2, 5, 6))]))
    torch.testing.assert_close(torch.from_numpy(gemma.next_logprobs([Context((5, 6))])), expected)
    assert (gemma.num_prepended, llama.num_prepended) == (1, 0)


def test_the_cache_takes_no_more_than_its_bytes(gemma):
    assert gemma.cache_bytes <= 1 << 20
    assert gemma.cache_bytes + gemma.cache_bytes // gemma.num_blocks > 1 << 20


def test_a_cache_too_small_for_one_block_is_refused(gemma):
    with pytest.raises(ConfigError, match="kv_bytes is 10"):
        NeuralDecoder(gemma.decoder, bos_id=2, kv_bytes=10)


def test_a_bos_that_the_model_has_no_row_for_is_refused(gemma):
    with pytest.raises(DamagedError, match="BOS is token 61; the model has the tokens 0 to 60"):
        NeuralDecoder(gemma.decoder, bos_id=61, kv_bytes=1 << 20)


def test_a_lone_bfloat16_row_is_summed_as_the_rows_of_a_batch_are(gemma, monkeypatch):
    model = NeuralDecoder(gemma.decoder.bfloat16(), bos_id=2, kv_bytes=1 << 20, block_size=4)
    rows = [StepRow(Context((5,)), 0, 2, [0]), StepRow(Context((6, 7)), 0, 3, [1])]
    model.step(rows)
    following = [StepRow(Context((5,), (9,)), 2, 1, [0]), StepRow(Context((6, 7), (8,)), 3, 1, [1])]
    together = model.step(following)
    sizes = []
    forward = model.decoder.forward
    monkeypatch.setattr(
        model.decoder, "forward", lambda ids, seen: sizes.append(len(ids)) or forward(ids, seen)
    )
    for index, row in enumerate(following):
        alone = model.step([row])
        assert alone.shape == (1, model.vocab_size) and torch.equal(alone[0], together[index])
    assert sizes == [2, 2]
