import pytest
import torch

from potstill.errors import ConfigError, UsageError
from potstill.lm.context import Context
from potstill.lm.decoder import NeuralDecoder


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
