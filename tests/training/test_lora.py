"""LoRA: only the additions are trained, dropout resumes to the bit, and the adapter file holds the result."""

import pytest
import torch

from potstill.errors import ConfigError
from potstill.models.adapters import load_adapter, save_adapter
from potstill.training.objective import mean_target_loss
from potstill.training.settings import TrainingSettings
from potstill.training.trainer import train


def settings(**changes) -> TrainingSettings:
    return TrainingSettings(
        **({"method": "lora", "dtype": "fp32", "batch_tokens": 128, "learning_rate": 1e-2} | changes)
    )


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_lora_learns_and_leaves_the_base_alone(make_decoder, examples, tmp_path, dtype):
    decoder = make_decoder()
    base = {name: p.detach().clone() for name, p in decoder.named_parameters()}
    result = train(decoder, examples, settings(dtype=dtype, max_steps=60, lora_rank=8), tmp_path)
    assert result.steps[-1].loss < 0.5 * result.steps[0].loss
    after = dict(decoder.named_parameters())
    assert all(torch.equal(after[name], weight.to(after[name].dtype)) for name, weight in base.items())
    assert all(p.dtype == torch.float32 for name, p in after.items() if name not in base)


def test_the_saved_adapter_gives_the_trained_model(make_decoder, examples, tmp_path):
    decoder, fresh = make_decoder(), make_decoder()
    train(decoder, examples, settings(max_steps=10), tmp_path / "training")
    save_adapter(decoder, tmp_path / "adapter", "tiny")
    load_adapter(fresh, tmp_path / "adapter")
    assert mean_target_loss(fresh, examples, 128) == mean_target_loss(decoder, examples, 128)


def test_only_the_named_targets_get_an_addition(make_decoder, examples, tmp_path):
    decoder = make_decoder()
    train(decoder, examples, settings(max_steps=1, lora_targets=("v_proj",)), tmp_path)
    added = [name for name, _ in decoder.named_parameters() if "lora" in name]
    assert added
    assert all("v_proj" in name for name in added)


def test_a_target_that_is_no_projection_is_refused(make_decoder, examples, tmp_path):
    with pytest.raises(ConfigError):
        train(make_decoder(), examples, settings(max_steps=1, lora_targets=("w_proj",)), tmp_path)


class Stop(Exception):
    pass


class StopAtOnce:
    name = "stop"

    def evaluate(self):
        raise Stop


def test_dropout_resumes_to_the_same_bits(make_decoder, examples, tmp_path):
    chosen = settings(max_steps=6, checkpoint_every=2, evaluate_every=3, lora_dropout=0.3)
    through, resumed = make_decoder(), make_decoder()
    train(through, examples, chosen, tmp_path / "through")
    with pytest.raises(Stop):
        train(make_decoder(), examples, chosen, tmp_path / "cut", evaluators=[StopAtOnce()])
    assert train(resumed, examples, chosen, tmp_path / "cut").resumed_from == 2
    wanted = dict(through.named_parameters())
    assert all(torch.equal(p, wanted[name]) for name, p in resumed.named_parameters())


def test_dropout_draws_anew_at_each_step(make_decoder, examples, tmp_path):
    """With a rate too small to change a weight's loss, equal batches differ only by what is dropped."""
    chosen = settings(max_steps=4, batch_tokens=1024, learning_rate=1e-9, lora_dropout=0.5)
    norms = [record.gradient_norm for record in train(make_decoder(), examples, chosen, tmp_path).steps]
    assert max(norms) - min(norms) > 1e-3 * max(norms)
