"""The recipe's [synthesis] table."""

from dataclasses import dataclass
from typing import Literal

from potstill.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SynthesisSettings:
    """How training pairs are made and which are kept.

    generator            `few_shot` prompts the teacher with the task's examples; `continuation` pairs next
                         sentences of one context (Impossible Distillation, arXiv:2305.16635v4, section 3)
    num_sources          sentences (few_shot) or contexts (continuation) to start from, >= 1
    samples              targets drawn for each source (few_shot) or next sentences of each context, >= 1
    shots                examples in a few-shot prompt, >= 1
    prompt_variants      different choices of examples; requests over one choice share their prefix, >= 1
    temperature          of the targets, > 0
    top_p                of the targets, (0, 1]
    max_tokens           of one target, >= 1
    context_temperature  of the text the teacher writes when there is no corpus, > 0
    min_words            words of a source, >= 1
    max_words            words of a source, > min_words
    newswire_share       share of the pairs that is also rewritten lower-case, split at punctuation and with
                         digits masked, as old news corpora are, [0, 1]
    quantile             share of the true calibration pairs a learnt threshold may lose, (0, 0.5)
    min_faithfulness     nats a token; None learns it from true against shuffled pairs
    min_saliency         nats a token; None learns it from true against shuffled pairs
    min_equivalence      nats a token, when two targets count as saying the same; None learns it
    entailment_model     a model trained on natural language inference that is asked last; None asks none
    min_entailment       its probability that the target follows from the source, [0, 1]; None is 0.5
    calibration_pairs    pairs the thresholds are learnt on, >= 20
    chunk_sources        sources in one unit of work: what a killed run loses at most, >= 1
    """

    generator: Literal["few_shot", "continuation"] = "few_shot"
    num_sources: int = 1000
    samples: int = 4
    shots: int = 5
    prompt_variants: int = 4
    temperature: float = 0.7
    top_p: float = 0.9
    max_tokens: int = 48
    context_temperature: float = 1.0
    min_words: int = 12
    max_words: int = 45
    newswire_share: float = 0.0
    quantile: float = 0.1
    min_faithfulness: float | None = None
    min_saliency: float | None = None
    min_equivalence: float | None = None
    entailment_model: str | None = None
    min_entailment: float | None = None
    calibration_pairs: int = 200
    chunk_sources: int = 64

    def __post_init__(self) -> None:
        for name in ("num_sources", "samples", "shots", "prompt_variants", "max_tokens", "chunk_sources"):
            if getattr(self, name) < 1:
                raise ConfigError(f"[synthesis] {name} is {getattr(self, name)}; it must be at least 1.")
        for name in ("temperature", "context_temperature"):
            if not 0 < getattr(self, name) < 10:
                raise ConfigError(f"[synthesis] {name} is {getattr(self, name)}; it must be in (0, 10).")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"[synthesis] top_p is {self.top_p}; it must be in (0, 1].")
        if not 1 <= self.min_words < self.max_words:
            raise ConfigError(
                f"[synthesis] min_words is {self.min_words} and max_words {self.max_words}; "
                f"they must be at least 1 and in this order."
            )
        if not 0 <= self.newswire_share <= 1:
            raise ConfigError(f"[synthesis] newswire_share is {self.newswire_share}; it must be in [0, 1].")
        if not 0 < self.quantile < 0.5:
            raise ConfigError(f"[synthesis] quantile is {self.quantile}; it must be in (0, 0.5).")
        if self.calibration_pairs < 20:
            raise ConfigError(
                f"[synthesis] calibration_pairs is {self.calibration_pairs}; fewer than 20 calibrate nothing."
            )
        self._check_entailment()
        if self.generator == "continuation" and self.samples < 2:
            raise ConfigError("[synthesis] samples is 1; pairs of continuations need at least 2.")

    def _check_entailment(self) -> None:
        if self.min_entailment is None:
            return
        if self.entailment_model is None:
            raise ConfigError("[synthesis] min_entailment has no effect without entailment_model.")
        if not 0 <= self.min_entailment <= 1:
            raise ConfigError(f"[synthesis] min_entailment is {self.min_entailment}; it must be in [0, 1].")
