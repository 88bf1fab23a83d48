"""The trainer: it learns, it adds up right, and it ends in the same bytes however often it was stopped."""

import math
import weakref

import pytest
import safetensors.torch
import torch

from potstill.errors import ConfigError, LockedError, PotstillError, RefusedError
from potstill.locks import locked
from potstill.tasks.example import Example
from potstill.training.objective import mean_target_loss
from potstill.training.plan import split_examples
from potstill.training.settings import TrainingSettings
from potstill.training.trainer import train


def settings(**changes) -> TrainingSettings:
    return TrainingSettings(**({"dtype": "fp32", "batch_tokens": 128, "learning_rate": 1e-2} | changes))


def weights_of(decoder) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in decoder.named_parameters()}


def assert_same_bits(first, second) -> None:
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


class Crash(Exception):
    pass


class CrashAt:
    """An evaluator that gives a figure each time and stops the training at one step."""

    name = "crash"

    def __init__(self, calls: int | None) -> None:
        self.calls, self.seen = calls, 0

    def evaluate(self):
        self.seen += 1
        if self.seen == self.calls:
            raise Crash
        return {"one": 1.0}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dtype": "bf16"},
        {"optimizer": "adafactor", "learning_rate": 5e-2},
        {"freeze_embeddings": False, "accumulation": 2},
    ],
    ids=str,
)
def test_a_toy_mapping_is_learnt(make_decoder, examples, tmp_path, changes):
    decoder = make_decoder()
    result = train(decoder, examples, settings(max_steps=150, schedule="cosine", **changes), tmp_path)
    assert result.steps[0].loss > 3
    assert mean_target_loss(decoder, examples, 512) < 0.15
    assert [record.step for record in result.steps] == list(range(1, 151))
    assert result.num_targets == sum(record.num_targets for record in result.steps)


def test_accumulation_is_one_large_batch(make_decoder, examples, tmp_path):
    whole = train(make_decoder(), examples, settings(batch_tokens=1024, max_steps=3), tmp_path / "a")
    parts = train(
        make_decoder(), examples, settings(batch_tokens=80, accumulation=5, max_steps=3), tmp_path / "b"
    )
    assert whole.steps[0].num_targets == parts.steps[0].num_targets == 180
    for one, many in zip(whole.steps, parts.steps, strict=True):
        assert one.loss == pytest.approx(many.loss, rel=1e-4)
        assert one.gradient_norm == pytest.approx(many.gradient_norm, rel=1e-3)


def test_embeddings_stay_unless_asked_for(make_decoder, examples, tmp_path):
    for freeze in (None, True, False):
        decoder = make_decoder(tied=False)
        before = weights_of(decoder)
        train(decoder, examples, settings(max_steps=1, freeze_embeddings=freeze), tmp_path / str(freeze))
        changed = {
            name for name, weight in weights_of(decoder).items() if not torch.equal(weight, before[name])
        }
        embeddings = {"model.embed_tokens.weight", "lm_head.weight"}
        assert changed == (set(before) if freeze is False else set(before) - embeddings)


def test_clipping_scales_the_gradient_and_logs_its_own_norm(make_decoder, examples, tmp_path):
    moved = {}
    for clip in (None, 1e-12):
        decoder = make_decoder()
        before = weights_of(decoder)
        result = train(decoder, examples, settings(max_steps=1, clip=clip), tmp_path / str(clip))
        moved[clip] = max((after - before[name]).abs().max() for name, after in weights_of(decoder).items())
        assert result.steps[0].gradient_norm > 0.1
    # AdamW divides by the gradient's own size, except where that is far below its epsilon of 1e-8.
    assert moved[None] == pytest.approx(1e-2, rel=1e-2)
    assert moved[1e-12] < 1e-5


def test_steps_too_small_for_bfloat16_add_up_in_the_masters(make_decoder, examples, tmp_path):
    decoder = make_decoder()
    before = weights_of(decoder)
    # Fifty steps of 1e-4; one of them alone is below half of the distance between neighbours around 0.2.
    train(decoder, examples, settings(dtype="bf16", learning_rate=1e-4, max_steps=50), tmp_path)
    weight = decoder.model.layers[0].mlp.up_proj.weight
    assert weight.dtype == torch.bfloat16
    assert (weight.float() - before["model.layers.0.mlp.up_proj.weight"]).abs().mean() > 5e-4


def test_the_examples_set_aside_have_no_say(make_decoder, examples, tmp_path):
    ended = []
    chosen = settings(max_steps=4, validation_share=0.25)
    for folder, answer in (("a", 30), ("b", 31)):
        held_out = set(split_examples(examples, chosen).validation)
        altered = [
            e._replace(target_ids=(answer,) * len(e.target_ids)) if e in held_out else e for e in examples
        ]
        decoder = make_decoder()
        result = train(decoder, altered, chosen, tmp_path / folder)
        ended.append((weights_of(decoder), result.evaluations[-1]))
    assert_same_bits(ended[0][0], ended[1][0])
    assert ended[0][1].name == ended[1][1].name == "validation"
    assert ended[0][1].figures != ended[1][1].figures


def test_the_best_weights_are_kept_where_they_are_asked_for(make_decoder, examples, tmp_path):
    decoder = make_decoder()
    # Thirty examples learnt by heart: the validation loss falls, then rises.
    chosen = settings(
        max_steps=120, validation_share=0.25, evaluate_every=10, keep="best", learning_rate=2e-2
    )
    result = train(decoder, examples, chosen, tmp_path)
    losses = {e.step: e.figures["loss"] for e in result.evaluations}
    assert losses[result.kept_step] == min(losses.values()) < losses[120]
    validation = split_examples(examples, chosen).validation
    assert mean_target_loss(decoder, validation, 128) == losses[result.kept_step]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        f"best-{result.kept_step:08d}",
        "checkpoint-00000120",
    ]


@pytest.mark.parametrize(
    "changes",
    [{}, {"dtype": "bf16"}, {"optimizer": "adafactor"}, {"keep": "best", "validation_share": 0.2}],
    ids=str,
)
@pytest.mark.parametrize("crash_at", [1, 4])
def test_a_stopped_training_resumes_to_the_same_bits(make_decoder, examples, tmp_path, changes, crash_at):
    chosen = settings(max_steps=7, checkpoint_every=3, evaluate_every=1, accumulation=2, **changes)
    through = make_decoder()
    wanted = train(through, examples, chosen, tmp_path / "through", evaluators=[CrashAt(None)])
    with pytest.raises(Crash):
        train(make_decoder(), examples, chosen, tmp_path / "cut", evaluators=[CrashAt(crash_at)])
    resumed = make_decoder()
    got = train(resumed, examples, chosen, tmp_path / "cut", evaluators=[CrashAt(None)])
    assert_same_bits(weights_of(through), weights_of(resumed))
    assert got.resumed_from == (0 if crash_at <= 3 else 3)
    assert got.steps == wanted.steps
    assert got.evaluations == wanted.evaluations
    assert (tmp_path / "cut/loss.jsonl").read_bytes() == (tmp_path / "through/loss.jsonl").read_bytes()


def test_a_resumed_training_does_not_hold_its_checkpoint(make_decoder, examples, tmp_path, monkeypatch):
    chosen = settings(max_steps=4, checkpoint_every=1, evaluate_every=1)
    with pytest.raises(Crash):
        train(make_decoder(), examples, chosen, tmp_path, evaluators=[CrashAt(2)])
    read = []

    def remembering(path):
        tensors = load_file(path)
        read.extend(weakref.ref(tensor) for tensor in tensors.values())
        return tensors

    class Watcher:
        name = "watcher"

        def evaluate(self):
            assert read and not any(tensor() is not None for tensor in read)
            return {"one": 1.0}

    load_file = safetensors.torch.load_file
    monkeypatch.setattr(safetensors.torch, "load_file", remembering)
    assert train(make_decoder(), examples, chosen, tmp_path, evaluators=[Watcher()]).resumed_from == 1


def test_a_finished_training_is_not_repeated(make_decoder, examples, tmp_path):
    first, second = make_decoder(), make_decoder()
    wanted = train(first, examples, settings(max_steps=3), tmp_path)
    got = train(second, examples, settings(max_steps=3), tmp_path)
    assert got.resumed_from == 3
    assert got.steps == wanted.steps
    assert_same_bits(weights_of(first), weights_of(second))


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(make_decoder, examples, tmp_path):
    ended = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        decoder = make_decoder()
        torch.manual_seed(hash(folder) % 1000)  # what others do with the global generator must not matter
        state = torch.get_rng_state()
        train(decoder, examples, settings(max_steps=3, seed=seed), tmp_path / folder)
        assert torch.equal(torch.get_rng_state(), state)
        ended.append(weights_of(decoder))
    assert_same_bits(ended[0], ended[1])
    assert not torch.equal(ended[0]["model.norm.weight"], ended[2]["model.norm.weight"])


@pytest.mark.parametrize("what", ["settings", "examples", "first weights"])
def test_checkpoints_of_another_training_are_refused(make_decoder, examples, tmp_path, what):
    train(make_decoder(), examples, settings(max_steps=2), tmp_path)
    with pytest.raises(RefusedError, match=f"a training with other {what}"):
        train(
            make_decoder(seed=1 if what == "first weights" else 0),
            examples[:-1] if what == "examples" else examples,
            settings(max_steps=3 if what == "settings" else 2),
            tmp_path,
        )


def test_two_trainings_do_not_share_a_folder(make_decoder, examples, tmp_path):
    with locked(tmp_path), pytest.raises(LockedError):
        train(make_decoder(), examples, settings(max_steps=1), tmp_path)


def test_a_loss_that_is_no_number_stops_with_step_rate_and_advice(make_decoder, examples, tmp_path):
    decoder = make_decoder()
    with torch.no_grad():
        decoder.model.norm.weight[0] = math.nan
    with pytest.raises(
        PotstillError, match=r"step 1: the loss is nan at a learning rate of 1\.00e-02\. Lower"
    ):
        train(decoder, examples, settings(max_steps=1), tmp_path)
    assert not (tmp_path / "loss.jsonl").exists()


def test_an_evaluator_is_asked_when_due_and_at_the_end(make_decoder, examples, tmp_path):
    decoder = make_decoder()

    class Watcher:
        name = "watcher"

        def evaluate(self):
            assert not decoder.training
            return {"figure": 2.0}

    chosen = settings(max_steps=7, evaluate_every=3)
    result = train(decoder, examples, chosen, tmp_path, evaluators=[Watcher()])
    assert [(e.step, e.name, e.figures) for e in result.evaluations] == [
        (step, "watcher", {"figure": 2.0}) for step in (3, 6, 7)
    ]


def test_an_evaluators_figure_that_is_no_number_is_named(make_decoder, examples, tmp_path):
    class Broken:
        name = "broken"

        def evaluate(self):
            return {"score": math.nan}

    with pytest.raises(PotstillError, match="broken gave score = nan after step 1"):
        train(make_decoder(), examples, settings(max_steps=1), tmp_path, evaluators=[Broken()])


def test_no_examples_and_impossible_ones_are_refused(make_decoder, tmp_path):
    with pytest.raises(ConfigError, match="no example"):
        train(make_decoder(), [], settings(), tmp_path)
    with pytest.raises(ConfigError, match="vocabulary holds 40"):
        train(make_decoder(), [Example((1,), (40,))], settings(), tmp_path)
    with pytest.raises(ConfigError, match="Example 0 has 130 tokens and the model's context 128"):
        train(make_decoder(), [Example((1,) * 130, (2,))], settings(batch_tokens=512), tmp_path)


def test_an_example_set_aside_that_fits_no_batch_is_told_before_the_first_step(
    make_decoder, examples, tmp_path
):
    chosen = settings(max_steps=2, batch_tokens=20, validation_share=0.25)
    held_out = split_examples(examples, chosen).validation[0]
    index = examples.index(held_out)
    long = [*examples[:index], Example((2,) * 25, (3,)), *examples[index + 1 :]]
    assert len(split_examples(long, chosen).validation[0].prompt_ids) == 25
    with pytest.raises(ConfigError, match=f"Example {index} has 25 tokens and batch_tokens is 20"):
        train(make_decoder(), long, chosen, tmp_path)
    assert not (tmp_path / "loss.jsonl").exists()


def test_a_trained_decoder_is_ready_to_answer(make_decoder, examples, tmp_path):
    decoder = make_decoder()
    train(decoder, examples, settings(max_steps=1, dtype="bf16"), tmp_path)
    assert not decoder.training
    assert not any(p.requires_grad or p.grad is not None for p in decoder.parameters())


def test_what_auto_chose_first_stays_when_a_training_resumes(make_decoder, examples, tmp_path, monkeypatch):
    chosen = settings(dtype="auto", max_steps=3, checkpoint_every=1, evaluate_every=1)
    monkeypatch.setattr("potstill.training.trainable.bf16_is_faster", lambda device_type: True)
    with pytest.raises(Crash):
        train(make_decoder(), examples, chosen, tmp_path, evaluators=[CrashAt(2)])
    monkeypatch.setattr("potstill.training.trainable.bf16_is_faster", lambda device_type: False)
    decoder = make_decoder()
    assert train(decoder, examples, chosen, tmp_path).resumed_from == 1
    assert decoder.head_weight.dtype == torch.bfloat16
