"""The distillation run: sources, candidates, thresholds, verdicts, pairs, student, evaluation, report."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from potstill.corpus.files import find_files
from potstill.devices import default_device
from potstill.evaluation.examples import read_examples
from potstill.hub.resolve import LocalModel, resolve
from potstill.progress import progress_for
from potstill.runs.recipe import Recipe
from potstill.runs.stage import Stage, StageContext
from potstill.runs.stages import candidates, evaluation, pairs, report, sources, student, verdicts
from potstill.runs.stages.rates import Forecast
from potstill.runs.stages.workshop import Workshop
from potstill.settings import to_table
from potstill.synthesis.continuation import ContinuationGenerator
from potstill.synthesis.entailment import load_entailment, require_entailment
from potstill.synthesis.few_shot import FewShotGenerator
from potstill.synthesis.filters import Filter
from potstill.tasks.task import Task, load_task

# Settings of [synthesis] by the stage that reads them, so that changing one reruns only what depends on it.
_DRAWING = (
    "generator",
    "samples",
    "shots",
    "prompt_variants",
    "temperature",
    "top_p",
    "max_tokens",
    "chunk_sources",
)
_SOURCES = ("num_sources", "min_words", "max_words")
_STORIES = ("context_temperature", "top_p")
_ENTAILING = ("entailment_model", "min_entailment")
_LEARNING = ("quantile", "min_faithfulness", "min_saliency", "min_equivalence", "calibration_pairs")


def build_stages(recipe: Recipe, run_folder: Path) -> list[Stage]:
    """The stages of `recipe`. Models and the evaluation file are looked at now, before any work is done."""
    task = load_task(recipe.task.name)
    if recipe.evaluation.file is not None:
        read_examples(recipe.evaluation.file)
    progress = progress_for(sys.stderr)
    teacher = resolve(recipe.model.teacher, progress=progress)
    base = resolve(recipe.model.student, progress=progress) if recipe.model.student else teacher
    named = recipe.synthesis.entailment_model
    critic = resolve(named, progress=progress) if named else None
    if critic is not None:
        require_entailment(critic.path)
    return _Distillation(recipe, task, teacher, base, critic).stages()


@dataclass(frozen=True)
class _Distillation:
    """`critic` is a model of natural language inference."""

    recipe: Recipe
    task: Task
    teacher: LocalModel
    base: LocalModel
    critic: LocalModel | None

    def stages(self) -> list[Stage]:
        workshop = self._workshop(self.teacher.path)
        forecast = Forecast(workshop, self.task, self.recipe)
        stages = [
            self._sources(workshop),
            self._candidates(workshop),
            *self._verdicts(workshop),
            self._pairs(workshop),
            self._student(workshop),
            self._evaluation(workshop),
        ]
        # Each is forecast by the method that bears its name.
        told = [replace(stage, estimate=getattr(forecast, stage.name)) for stage in stages]
        return [*told, self._report()]

    def _sources(self, workshop: Workshop) -> Stage:
        corpus, settings = self.recipe.corpus, self.recipe.synthesis
        if corpus.paths:
            chosen = {
                **self._synthesis(_SOURCES),
                "field": corpus.field,
                "max_sentences": corpus.max_sentences,
            }
            run: Callable[[StageContext], None] = partial(
                sources.from_corpus, corpus=corpus, settings=settings
            )
            return Stage("sources", 1, chosen, (), run, files=find_files(corpus.paths).files)
        chosen = {**self._synthesis(_SOURCES), **self._synthesis(_STORIES), **self._written()}
        run = partial(sources.from_teacher, workshop=workshop, settings=settings)
        return Stage("sources", 2, chosen, (), run, files=weight_files(self.teacher))

    def _candidates(self, workshop: Workshop) -> Stage:
        settings = self.recipe.synthesis

        def run(context: StageContext) -> None:
            teacher = workshop.generator
            if settings.generator == "continuation":
                generator: candidates.PairGenerator = ContinuationGenerator(teacher, settings, context.seed)
            else:
                generator = FewShotGenerator(teacher, self.task, settings, context.seed)
            candidates.propose(context, generator, settings.chunk_sources)

        chosen = {**self._synthesis(_DRAWING), **self._written(), "task": to_table(self.task)}
        return Stage("candidates", 3, chosen, ("sources",), run, files=weight_files(self.teacher))

    def _verdicts(self, workshop: Workshop) -> list[Stage]:
        files, chosen = weight_files(self.teacher), {"task": to_table(self.task), **self._written()}
        entailing = weight_files(self.critic) if self.critic else []
        learn = partial(verdicts.learn, workshop=workshop, task=self.task, settings=self.recipe.synthesis)
        judge = partial(verdicts.judge_candidates, workshop=workshop, task=self.task, last=self._entailed())
        judging = {**chosen, **(self._synthesis(_ENTAILING) if self.critic else {})}
        learning = {**chosen, **self._synthesis(_LEARNING)}
        return [
            Stage("thresholds", 2, learning, ("candidates",), learn, files=files),
            Stage("verdicts", 2, judging, ("candidates", "thresholds"), judge, files=[*files, *entailing]),
        ]

    def _entailed(self) -> Callable[[], Filter] | None:
        """Loads the critic and gives its filter; None where the recipe names none."""
        critic, minimum = self.critic, self.recipe.synthesis.min_entailment
        if critic is None:
            return None
        device = default_device(self.recipe.run.device)
        return lambda: Filter(
            load_entailment(critic.path, device=device),
            "does not follow from the source",
            minimum=0.5 if minimum is None else minimum,
        )

    def _pairs(self, workshop: Workshop) -> Stage:
        run = partial(pairs.select, workshop=workshop, settings=self.recipe.synthesis)
        chosen = {**self._synthesis(("newswire_share",)), **self._written()}
        return Stage(
            "pairs", 2, chosen, ("thresholds", "verdicts"), run,
            files=weight_files(self.teacher), publishes=("pairs.parquet", "pairs.jsonl"),
        )  # fmt: skip

    def _student(self, workshop: Workshop) -> Stage:
        def run(context: StageContext) -> None:
            # Training needs the memory that the teacher holds.
            workshop.close()
            student.train_student(context, self.base.path, self.base.name, self.task, self.recipe)

        chosen = {
            **to_table(self.recipe.training),
            "prompt_template": self.task.student_template,
            "max_tokens": self.recipe.evaluation.max_tokens,
        }
        is_lora = self.recipe.training.method == "lora"
        publishes = (student.STUDENT, student.ADAPTER) if is_lora else (student.STUDENT,)
        return Stage(
            "student", 2, chosen, ("pairs",), run, files=weight_files(self.base), publishes=publishes
        )

    def _evaluation(self, workshop: Workshop) -> Stage:
        recipe = self.recipe

        def run(context: StageContext) -> None:
            pupil = self._workshop(evaluation.student_path(context))
            work = evaluation.Evaluated(
                workshop, pupil, self.task, recipe.synthesis, recipe.evaluation, recipe.run.seed
            )
            evaluation.evaluate(context, work)
            pupil.close()
            workshop.close()

        given = recipe.evaluation.file
        chosen = {
            **to_table(recipe.evaluation),
            **self._synthesis(("shots", "prompt_variants")),
            **self._written(),
            "task": to_table(self.task),
            "file": None,
        }
        files = [*weight_files(self.teacher), *([given] if given else [])]
        return Stage("evaluation", 3, chosen, ("thresholds", "student"), run, files=files)

    def _report(self) -> Stage:
        run = partial(report.write_report, recipe=self.recipe, teacher=self.teacher.name)
        needs = ("thresholds", "pairs", "student", "evaluation")
        return Stage("report", 2, to_table(self.recipe), needs, run, publishes=(report.FILE,))

    def _workshop(self, path: Path) -> Workshop:
        run = self.recipe.run
        return Workshop(path, run.device, run.threads, self.recipe.model.dtype)

    def _written(self) -> Mapping[str, Any]:
        """What a stage depends on whose texts or scores a model gives."""
        return {"dtype": self.recipe.model.dtype}

    def _synthesis(self, names: tuple[str, ...]) -> Mapping[str, Any]:
        table = to_table(self.recipe.synthesis)
        return {name: table[name] for name in names}


def weight_files(model: LocalModel) -> list[Path]:
    """The files whose content decides what a model writes."""
    if model.path.is_file():
        return [model.path]
    kinds = ("*.safetensors", "*.json", "*.gguf")
    return sorted(path for kind in kinds for path in model.path.glob(kind))
