"""Every choice a training run makes, checked before any weight is loaded."""

import math
from dataclasses import dataclass
from typing import Literal

from potstill.errors import ConfigError

Method = Literal["full", "lora"]
OptimizerName = Literal["adamw", "adafactor"]
ScheduleName = Literal["constant", "linear", "cosine"]
DtypeName = Literal["auto", "bf16", "fp32"]
Keep = Literal["last", "best"]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What is trained, how far, and how often its state is saved.

    method             full: the weights themselves; lora: low-rank additions to them (Hu et al. 2021,
                       arXiv:2106.09685)
    freeze_embeddings  full only: whether embedding and head stay as they are. Default true: in a small model
                       with a large vocabulary they are most of the weights and the least used
    lora_rank          lora only: rank of an addition, in [1, 1024]; default 16
    lora_alpha         lora only: an addition is scaled by lora_alpha / lora_rank, > 0; default 2 * lora_rank
    lora_dropout       lora only: share of an addition's inputs dropped, in [0, 1); default 0
    lora_targets       lora only: names of the projections that get one; default every projection of a block
    learning_rate      > 0. AdamW: about the change of a weight in one step, 1e-5 to 1e-3. Adafactor: the same
                       relative to the root mean square of its matrix, 1e-4 to 1e-2
    optimizer          adamw (Loshchilov & Hutter 2017, arXiv:1711.05101) or adafactor (Shazeer & Stern 2018,
                       arXiv:1804.04235; less memory: no second moment for each weight)
    weight_decay       >= 0, times the learning rate: share of a weight taken off a step; vectors are spared
    schedule           of the learning rate after the warm-up: constant, or linear or cosine down to 0
    warmup_share       share of the steps, in [0, 1), over which the learning rate rises to its full value
    batch_tokens       tokens run at once, in [1, 2^20]; examples are packed whole, so none may be longer
    accumulation       batches whose gradients are added up for one step, in [1, 4096]
    epochs             passes over the examples, >= 1; default 1, and not together with max_steps
    max_steps          optimizer steps, >= 1
    clip               largest norm of a step's gradient, > 0; left out: no limit
    dtype              of the computation: bf16, fp32, or auto for whichever this machine runs faster. Weights
                       that are trained are kept in float32 beside it
    seed               >= 0: order of the examples, first LoRA weights, dropout, validation examples
    checkpoint_every   steps between two checkpoints, >= 1: what a crash can cost. The end is always saved
    evaluate_every     steps between two evaluations, >= 1; left out: only after the last step
    validation_share   share of the examples, in [0, 0.5], never trained on; each evaluation states their loss
    keep               the weights that remain: last, or best by validation loss (needs validation_share)
    """

    method: Method = "full"
    freeze_embeddings: bool | None = None
    lora_rank: int | None = None
    lora_alpha: float | None = None
    lora_dropout: float | None = None
    lora_targets: tuple[str, ...] | None = None
    learning_rate: float = 5e-5
    optimizer: OptimizerName = "adamw"
    weight_decay: float = 0.0
    schedule: ScheduleName = "linear"
    warmup_share: float = 0.05
    batch_tokens: int = 2048
    accumulation: int = 1
    epochs: int | None = None
    max_steps: int | None = None
    clip: float | None = 1.0
    dtype: DtypeName = "auto"
    seed: int = 0
    checkpoint_every: int = 100
    evaluate_every: int | None = None
    validation_share: float = 0.0
    keep: Keep = "last"

    def __post_init__(self) -> None:
        self._check_words()
        self._check_ranges()
        self._check_combinations()

    def _check_words(self) -> None:
        choices: tuple[tuple[str, str, tuple[str, ...]], ...] = (
            ("method", self.method, ("full", "lora")),
            ("optimizer", self.optimizer, ("adamw", "adafactor")),
            ("schedule", self.schedule, ("constant", "linear", "cosine")),
            ("dtype", self.dtype, ("auto", "bf16", "fp32")),
            ("keep", self.keep, ("last", "best")),
        )
        for name, value, known in choices:
            if value not in known:
                raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(known)}.")

    def _check_ranges(self) -> None:
        checks: tuple[tuple[str, float | None, bool, str], ...] = (
            ("lora_rank", self.lora_rank, _within(self.lora_rank, 1, 1024), "in [1, 1024]"),
            ("lora_alpha", self.lora_alpha, _positive(self.lora_alpha), "a finite number > 0"),
            ("lora_dropout", self.lora_dropout, 0 <= (self.lora_dropout or 0) < 1, "in [0, 1)"),
            ("learning_rate", self.learning_rate, _positive(self.learning_rate), "a finite number > 0"),
            ("weight_decay", self.weight_decay, 0 <= self.weight_decay < math.inf, "a finite number >= 0"),
            ("warmup_share", self.warmup_share, 0 <= self.warmup_share < 1, "in [0, 1)"),
            ("batch_tokens", self.batch_tokens, _within(self.batch_tokens, 1, 2**20), "in [1, 2^20]"),
            ("accumulation", self.accumulation, _within(self.accumulation, 1, 4096), "in [1, 4096]"),
            ("epochs", self.epochs, _within(self.epochs, 1, 2**20), "in [1, 2^20]"),
            ("max_steps", self.max_steps, _within(self.max_steps, 1, 2**31), "in [1, 2^31]"),
            ("clip", self.clip, _positive(self.clip), "a finite number > 0"),
            ("seed", self.seed, _within(self.seed, 0, 2**63 - 1), "in [0, 2^63)"),
            ("checkpoint_every", self.checkpoint_every, self.checkpoint_every >= 1, ">= 1"),
            ("evaluate_every", self.evaluate_every, _within(self.evaluate_every, 1, 2**31), ">= 1"),
            ("validation_share", self.validation_share, 0 <= self.validation_share <= 0.5, "in [0, 0.5]"),
        )
        for name, value, holds, range_text in checks:
            if not holds:
                raise ConfigError(f"{name} is {value}; it must be {range_text}.")

    def _check_combinations(self) -> None:
        lora_only = ("lora_rank", "lora_alpha", "lora_dropout", "lora_targets")
        idle = ("freeze_embeddings",) if self.method == "lora" else lora_only
        for name in idle:
            if getattr(self, name) is not None:
                raise ConfigError(f"{name} has no effect with method = {self.method!r}; leave it out.")
        if self.lora_targets == ():
            raise ConfigError(
                "lora_targets is empty, so nothing would be trained; name a projection or leave it out."
            )
        if self.epochs is not None and self.max_steps is not None:
            raise ConfigError("epochs and max_steps both say when to stop; leave one of them out.")
        if self.keep == "best" and not self.validation_share:
            raise ConfigError(
                "keep = 'best' is judged by the validation loss; set validation_share, such as 0.05."
            )
        if self.keep == "best" and self.evaluate_every is None:
            raise ConfigError("keep = 'best' needs several evaluations to choose from; set evaluate_every.")

    @property
    def trains_embeddings(self) -> bool:
        return self.method == "full" and self.freeze_embeddings is False


def _within(value: int | None, least: int, most: int) -> bool:
    return value is None or least <= value <= most


def _positive(value: float | None) -> bool:
    return value is None or 0 < value < math.inf
