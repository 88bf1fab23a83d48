"""What a run will cost: this machine's rates with the run's own model, and the work of each stage.

How many tokens a stage meets can only be told when it has run; the shares below are those of the runs in
`benchmarks/results/`, and an estimate is right to about a half either way.
"""

import math
import time
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch

from potstill.evaluation.examples import builtin_examples, read_examples
from potstill.lm.scoring import score_targets
from potstill.models.adapters import projection_paths
from potstill.models.decoder import Decoder
from potstill.models.weights import empty
from potstill.runs.recipe import Recipe
from potstill.runs.stage import Estimate
from potstill.runs.stages.sources import STORIES_AT_ONCE
from potstill.runs.stages.workshop import Workshop
from potstill.tasks.example import Example
from potstill.tasks.packing import pack_batch
from potstill.tasks.task import Task
from potstill.training.objective import target_loss
from potstill.training.trainable import LORA_RANK
from potstill.types import SamplingParams, TextRequest

_TARGET_TOKENS, _STORY_TOKENS, _PAIR_TOKENS = 16, 100, 60
# Of a story's sentences one is fit to be a source; of candidates this share reaches the dear critics.
_SOURCES_A_STORY, _JUDGED_SHARE = 1.0, 0.55
# Of the sources this share ends in a pair. A pair asks for four scores of about so many positions in all.
_KEPT_SHARE, _SCORED_POSITIONS = 0.5, 140
_MODEL_SYSTEMS = 3
# Besides weights and cache: libraries, tokenizer, logits of a batch.
_OVERHEAD_BYTES = 1_200 << 20
# Float32 master, gradient and two moments of a trained weight, and its bfloat16 copy.
_TRAINED_WEIGHT_BYTES, _POSITION_BYTES = 18, 800 << 10
_MEASURED = SamplingParams(temperature=0.7, top_p=0.9, max_tokens=12, seed=1)


class Rates(NamedTuple):
    """Tokens a second: drawn in full batches, scored, and trained on."""

    drawn: float
    scored: float
    trained: float


@dataclass(frozen=True)
class Forecast:
    """Estimates for the stages of one run; the machine is measured when the first is asked for."""

    workshop: Workshop
    task: Task
    recipe: Recipe

    @cached_property
    def rates(self) -> Rates:
        return _measure(self.workshop, self.task)

    def sources(self) -> Estimate:
        count = self._num_sources
        if self.recipe.corpus.paths:
            return Estimate(f"{count:,} sentences from the corpus", disk_bytes=1000 * count)
        chunks = math.ceil(count / _SOURCES_A_STORY / STORIES_AT_ONCE)
        tokens = chunks * STORIES_AT_ONCE * _STORY_TOKENS
        return self._drawing(f"{count:,} sentences by the teacher", tokens, 2000 * count)

    def candidates(self) -> Estimate:
        count = self._num_candidates
        return self._drawing(f"{count:,} candidates", count * _TARGET_TOKENS, 600 * count)

    def thresholds(self) -> Estimate:
        settings = self.recipe.synthesis
        if None not in (settings.min_faithfulness, settings.min_saliency, settings.min_equivalence):
            return Estimate("as the recipe says", 0, 0.0, disk_bytes=2000)
        # True and shuffled pairs, each asked both ways.
        count = 2 * min(settings.calibration_pairs, self._num_candidates)
        return self._scoring(f"{count:,} pairs, true and shuffled", count * _SCORED_POSITIONS, 2000)

    def verdicts(self) -> Estimate:
        count = self._num_candidates
        tokens = round(_JUDGED_SHARE * count * _SCORED_POSITIONS)
        return self._scoring(f"{count:,} verdicts", tokens, 900 * count)

    def pairs(self) -> Estimate:
        count = self._num_pairs
        return self._scoring(f"about {count:,} pairs", count * _SCORED_POSITIONS, 1500 * self._num_candidates)

    def student(self) -> Estimate:
        training = self.recipe.training
        tokens = round(self._num_pairs * _PAIR_TOKENS * (training.epochs or 1))
        if training.max_steps is not None:
            tokens = training.max_steps * training.batch_tokens * training.accumulation
        rates, weights = self.rates, self._num_weights
        trained = self._num_trained_weights
        memory = _OVERHEAD_BYTES + 2 * weights + _TRAINED_WEIGHT_BYTES * trained
        return Estimate(
            f"train on about {self._num_pairs:,} pairs",
            tokens,
            tokens / rates.trained,
            memory + _POSITION_BYTES * training.batch_tokens,
            2 * weights + 12 * trained,
        )

    def evaluation(self) -> Estimate:
        count = self._num_examples
        tokens = _MODEL_SYSTEMS * count * _TARGET_TOKENS
        estimate = self._drawing(f"{count:,} sentences, {_MODEL_SYSTEMS} systems", tokens, 4000 * count)
        # Teacher and student stand side by side.
        return estimate._replace(memory_bytes=2 * self._decoding_bytes - _OVERHEAD_BYTES)

    @property
    def _num_sources(self) -> int:
        count, most = self.recipe.synthesis.num_sources, self.recipe.corpus.max_sentences
        return min(count, most) if most and self.recipe.corpus.paths else count

    @property
    def _num_examples(self) -> int:
        settings = self.recipe.evaluation
        found = builtin_examples() if settings.file is None else read_examples(settings.file)
        return min(len(found), settings.num_examples or len(found))

    @property
    def _num_candidates(self) -> int:
        settings = self.recipe.synthesis
        each = (
            settings.samples
            if settings.generator == "few_shot"
            else settings.samples * (settings.samples - 1)
        )
        return self._num_sources * each

    @property
    def _num_pairs(self) -> int:
        settings = self.recipe.synthesis
        return max(1, round(_KEPT_SHARE * self._num_sources * (1 + settings.newswire_share)))

    @cached_property
    def _modules(self) -> Decoder:
        """The model without its weights: what has which shape."""
        config = self.workshop.lm.runner.config
        return empty(lambda: Decoder(config))

    @property
    def _num_weights(self) -> int:
        return sum(p.numel() for p in self._modules.parameters())

    @property
    def _num_trained_weights(self) -> int:
        training, decoder = self.recipe.training, self._modules
        if training.method == "lora":
            rank, wanted = training.lora_rank or LORA_RANK, training.lora_targets
            paths = projection_paths(decoder)
            if wanted is not None:
                paths = [path for path in paths if path.rpartition(".")[2] in wanted]
            return sum(rank * sum(decoder.get_parameter(f"{path}.weight").shape) for path in paths)
        frozen = 0 if training.trains_embeddings else decoder.head_weight.numel()
        return self._num_weights - frozen

    @property
    def _decoding_bytes(self) -> int:
        return _OVERHEAD_BYTES + 2 * self._num_weights + self.workshop.params.kv_bytes

    def _drawing(self, work: str, tokens: int, disk_bytes: int) -> Estimate:
        return Estimate(work, tokens, tokens / self.rates.drawn, self._decoding_bytes, disk_bytes)

    def _scoring(self, work: str, tokens: int, disk_bytes: int) -> Estimate:
        return Estimate(work, tokens, tokens / self.rates.scored, self._decoding_bytes, disk_bytes)


def _measure(workshop: Workshop, task: Task) -> Rates:
    """A few seconds of each kind of work, after a first touch of the weights."""
    prompts = [task.few_shot_prompt(task.shots, shot.source) for shot in task.shots]
    batch = [prompts[index % len(prompts)] for index in range(workshop.params.max_batch)]
    requests = [TextRequest(prompt, _MEASURED.with_seed(seed)) for seed, prompt in enumerate(batch)]
    list(workshop.generator.complete(requests[:2]))
    started = time.perf_counter()
    drawn = sum(len(done.token_ids) for _, done in workshop.generator.complete(requests))
    return Rates(
        drawn / (time.perf_counter() - started), _scored_rate(workshop, task), _trained_rate(workshop, task)
    )


def _token_pairs(workshop: Workshop, task: Task) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    encode = workshop.tokenizer.encode
    return [
        (tuple(encode(task.student_prompt(shot.source))), tuple(encode(f" {shot.target_text}")))
        for shot in task.shots
    ]


def _scored_rate(workshop: Workshop, task: Task) -> float:
    pairs = _token_pairs(workshop, task)
    started = time.perf_counter()
    score_targets(workshop.lm, pairs)
    return sum(len(prompt) + len(target) for prompt, target in pairs) / (time.perf_counter() - started)


def _trained_rate(workshop: Workshop, task: Task) -> float:
    """Forward and backward of one small batch, of modules loaded for it and thrown away."""
    decoder = workshop.load_modules()
    examples = [Example(prompt, target) for prompt, target in _token_pairs(workshop, task)]
    batch = pack_batch(examples).to(decoder.head_weight.device)
    with torch.enable_grad():
        for parameter in decoder.parameters():
            parameter.requires_grad_(parameter is not decoder.head_weight)
        started = time.perf_counter()
        target_loss(decoder, batch).backward()  # type: ignore[no-untyped-call]
        spent = time.perf_counter() - started
    return len(batch.token_ids) / spent
