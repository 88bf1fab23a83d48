"""The training loop. It knows a decoder, examples and settings; what the result is worth, evaluators say."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from potstill.errors import ConfigError, DamagedError, PotstillError
from potstill.locks import locked
from potstill.progress import Progress, Silent, Task
from potstill.seeds import derive_seed
from potstill.tasks.example import Example, check_example
from potstill.tasks.packing import check_lengths, pack_batch
from potstill.training import checkpoint
from potstill.training.history import Evaluation, LossLog, StepRecord, TrainingResult
from potstill.training.identity import check_identity, identity_of
from potstill.training.objective import mean_target_loss, target_loss
from potstill.training.optimizers import NamedOptimizer
from potstill.training.plan import Step, plan_steps, split_examples
from potstill.training.schedules import rate_share, warmup_steps_of
from potstill.training.settings import DtypeName, TrainingSettings
from potstill.training.trainable import choose_dtype, make_trainable
from potstill.training.weights import TrainedWeights
from potstill.types import Evaluator

if TYPE_CHECKING:
    from potstill.models.decoder import Decoder


def train(
    decoder: "Decoder",
    examples: Sequence[Example],
    settings: TrainingSettings,
    folder: Path,
    *,
    evaluators: Sequence[Evaluator] = (),
    progress: Progress | None = None,
) -> TrainingResult:
    """Train `decoder` in place; checkpoints and the loss log `loss.jsonl` stand in `folder`.

    `decoder` comes with its first weights, also where an earlier process was killed: the newest valid
    checkpoint in `folder` is then continued, on a CPU with the same number of threads to the same last bit.
    RefusedError where `folder` belongs to a training with other settings, examples or first weights. On
    return the decoder computes in the dtype it was trained in (LoRA's additions are float32), and nothing in
    it requires a gradient.
    """
    _check_examples(decoder, examples, settings)
    with locked(folder):
        checkpoint.remove_leftovers(folder)
        found = checkpoint.newest_checkpoint(folder, "checkpoint")
        # Measured once a training: a second measurement may fall out otherwise where the two are close.
        dtype = found.standing.dtype if found else choose_dtype(settings, decoder.head_weight.device)
        make_trainable(decoder, settings)
        run = _Run(decoder, examples, settings, folder, evaluators, dtype)
        try:
            run.start_from(found)
            resumed_from = found.standing.step if found else 0
            # Weights and moments have been copied: to keep these too would double what a resumed run holds.
            del found
            run.work(progress or Silent())
            return run.result(resumed_from)
        finally:
            run.close()


class _Run:
    """One training from its first step to its last; `step` counts the finished ones."""

    def __init__(
        self,
        decoder: "Decoder",
        examples: Sequence[Example],
        settings: TrainingSettings,
        folder: Path,
        evaluators: Sequence[Evaluator],
        dtype: DtypeName,
    ) -> None:
        self._decoder, self._settings, self._folder, self._evaluators = decoder, settings, folder, evaluators
        self._device = decoder.head_weight.device
        self._examples = split_examples(examples, settings)
        self._plan = plan_steps(self._examples.training, settings)
        self._warmup_steps = warmup_steps_of(settings.warmup_share, len(self._plan))
        self._identity = identity_of(decoder, examples, settings)
        self._dtype = dtype
        self._weights = TrainedWeights(decoder, torch.bfloat16 if dtype == "bf16" else torch.float32)
        self._optimizer = NamedOptimizer(self._weights.masters, settings)
        self._log = LossLog(folder)
        self._best: checkpoint.Best | None = None
        self.step = 0
        self._seconds_before, self._started = 0.0, time.monotonic()

    def start_from(self, found: checkpoint.Checkpoint | None) -> None:
        """Stand where the checkpoint stands, and forget what was logged after it."""
        if found is None:
            self._log.rewind(0)
            return
        standing = found.standing
        check_identity(standing.identity, self._identity, str(self._folder))
        self._weights.load(_under("weights", found.tensors))
        self._optimizer.load_state(_under("optimizer", found.tensors))
        self._log.rewind(standing.log_records)
        self.step, self._best = standing.step, standing.best
        self._seconds_before = standing.seconds

    def work(self, progress: Progress) -> None:
        num_tokens = sum(step.num_tokens for step in self._plan)
        done = sum(step.num_tokens for step in self._plan[: self.step])
        with progress.task("training", num_tokens, "tokens", done=done) as task:
            while self.step < len(self._plan):
                self._take_step(task)
                if self._is_due(self._settings.evaluate_every):
                    self._evaluate()
                if self._is_due(self._settings.checkpoint_every):
                    self._save()
        if self._settings.keep == "best":
            self._return_to_best()

    def result(self, resumed_from: int) -> TrainingResult:
        return TrainingResult(
            steps=self._log.steps(),
            evaluations=self._log.evaluations(),
            kept_step=self._best.step if self._best and self._settings.keep == "best" else self.step,
            num_tokens=sum(step.num_tokens for step in self._plan),
            num_targets=sum(step.num_targets for step in self._plan),
            seconds=self._seconds(),
            resumed_from=resumed_from,
        )

    def close(self) -> None:
        # A LoRA layer takes float32 additions beside rounded weights, and that is what its file should hold.
        self._weights.close(unrounded=self._settings.method == "lora")
        self._decoder.requires_grad_(False)
        self._decoder.eval()

    def _take_step(self, task: Task) -> None:
        step = self._plan[self.step]
        settings = self._settings
        learning_rate = settings.learning_rate * rate_share(
            settings.schedule, self.step, len(self._plan), self._warmup_steps
        )
        self._decoder.train()
        loss = self._gradients_of(step)
        norm = self._clipped_norm()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise _diverged(self.step + 1, loss, norm, learning_rate, settings)
        self._optimizer.step(learning_rate)
        self._weights.publish()
        self._weights.drop_gradients()
        self.step += 1
        self._log.add_step(
            StepRecord(self.step, loss, learning_rate, norm, step.num_tokens, step.num_targets)
        )
        task.note(f"step {self.step:,}/{len(self._plan):,}, loss {loss:.3f}")
        task.advance(step.num_tokens)

    def _gradients_of(self, step: Step) -> float:
        """Add up the gradients of the step's batches and return its mean loss.

        Divided by the targets of the whole step, not of each batch: so batches of any size weigh each
        target alike, and accumulation equals one large batch.
        """
        loss = 0.0
        for index, chosen in enumerate(step.batches):
            batch = pack_batch([self._examples.training[i] for i in chosen]).to(self._device)
            with _seeded(derive_seed(self._settings.seed, "dropout", self.step, index), self._device):
                batch_loss = target_loss(self._decoder, batch) / step.num_targets
            batch_loss.backward()  # type: ignore[no-untyped-call]
            loss += batch_loss.item()
        return loss

    def _clipped_norm(self) -> float:
        """The norm of the whole gradient before it is scaled down to at most `clip`."""
        limit = math.inf if self._settings.clip is None else self._settings.clip
        return torch.nn.utils.clip_grad_norm_(self._weights.masters.values(), limit).item()

    def _is_due(self, every: int | None) -> bool:
        return self.step == len(self._plan) or (every is not None and self.step % every == 0)

    def _evaluate(self) -> None:
        self._decoder.eval()
        if self._examples.validation:
            loss = mean_target_loss(self._decoder, self._examples.validation, self._settings.batch_tokens)
            self._log.add_evaluation(Evaluation(self.step, "validation", {"loss": loss}))
            self._keep_if_best(loss)
        for evaluator in self._evaluators:
            self._log.add_evaluation(Evaluation(self.step, evaluator.name, evaluator.evaluate()))

    def _keep_if_best(self, loss: float) -> None:
        if self._settings.keep != "best" or (self._best is not None and loss >= self._best.loss):
            return
        self._best = checkpoint.Best(self.step, loss)
        checkpoint.save_checkpoint(self._folder, "best", self._standing(), self._weight_tensors())

    def _save(self) -> None:
        """Write a checkpoint, then remove what it replaces. Nothing follows the last: no optimizer in it."""
        tensors = self._weight_tensors()
        if self.step < len(self._plan):
            tensors |= {f"optimizer.{name}": tensor for name, tensor in self._optimizer.state().items()}
        checkpoint.save_checkpoint(self._folder, "checkpoint", self._standing(), tensors)
        checkpoint.remove_checkpoints(self._folder, "checkpoint", but=self.step)
        checkpoint.remove_checkpoints(self._folder, "best", but=self._best.step if self._best else None)

    def _return_to_best(self) -> None:
        assert self._best is not None
        found = checkpoint.load_checkpoint(self._folder, "best", self._best.step)
        if found is None:
            raise DamagedError(
                f"The best weights, of step {self._best.step}, are missing or altered in {self._folder}. "
                f"Remove the folder and train again."
            )
        self._weights.load(_under("weights", found.tensors))

    def _standing(self) -> checkpoint.Standing:
        return checkpoint.Standing(
            self.step, self._log.num_records, self._seconds(), self._best, self._dtype, self._identity
        )

    def _weight_tensors(self) -> dict[str, Tensor]:
        return {f"weights.{name}": master for name, master in self._weights.masters.items()}

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started


def _check_examples(decoder: "Decoder", examples: Sequence[Example], settings: TrainingSettings) -> None:
    """All of them, those set aside too: an evaluation may come hours after the start."""
    if not examples:
        raise ConfigError("There is no example to train on.")
    vocab_size, max_positions = decoder.config.vocab_size, decoder.config.max_positions
    for index, example in enumerate(examples):
        check_example(example, index, vocab_size)
        if example.num_tokens > max_positions:
            raise ConfigError(
                f"Example {index} has {example.num_tokens:,} tokens and the model's context "
                f"{max_positions:,} positions. Shorten it or leave it out."
            )
    check_lengths([example.num_tokens for example in examples], settings.batch_tokens)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}.")
    }


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Give torch's global generator, from which dropout draws, this seed; its own state comes back after.

    So no generator's state has to be saved: a batch's randomness is a function of (seed, step, batch).
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _diverged(
    step: int, loss: float, norm: float, learning_rate: float, settings: TrainingSettings
) -> PotstillError:
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm}"
    advice = "Lower learning_rate" if settings.clip is not None else "Lower learning_rate or set clip = 1.0"
    return PotstillError(
        f"Training stopped at step {step}: {what} at a learning rate of {learning_rate:.2e}. "
        f"{advice}, and train into a new folder."
    )
