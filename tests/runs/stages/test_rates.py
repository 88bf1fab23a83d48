"""What a run is said to cost: counts follow the recipe, times follow the model's own rates."""

from dataclasses import replace
from pathlib import Path

import pytest

from potstill.models.native_decoder import NativeRunner
from potstill.runs.recipe import Recipe, read_recipe
from potstill.runs.stages.distill import build_stages
from potstill.runs.stages.rates import Forecast, Rates
from potstill.runs.stages.workshop import Workshop
from potstill.synthesis.dataset import read_pairs
from potstill.tasks.task import load_task
from runs.stages.tiny_run import FinishedRun
from runs.stages.tiny_world import LESSONS, World

RATES = Rates(drawn=100.0, scored=1000.0, trained=500.0)


@pytest.fixture(scope="module")
def workshop(world: World) -> Workshop:
    return Workshop(world.folder / "base", "cpu", 1)


@pytest.fixture
def forecast(world: World, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> type[Forecast]:
    """Forecasts on a machine with known rates."""

    class Known(Forecast):
        rates = RATES  # type: ignore[assignment]

        def __init__(self, *overrides: str) -> None:
            recipe = read_recipe(world.recipe, overrides)
            super().__init__(workshop, load_task(recipe.task.name), recipe)

    return Known


def test_work_grows_with_the_recipe_and_time_with_the_work(forecast: type[Forecast]) -> None:
    once, twice = forecast(), forecast("synthesis.samples=12")
    for name, rate in (("candidates", RATES.drawn), ("verdicts", RATES.scored)):
        small, large = getattr(once, name)(), getattr(twice, name)()
        assert large.tokens == pytest.approx(2 * small.tokens, rel=0.01)
        assert large.disk_bytes == 2 * small.disk_bytes
        assert small.seconds == pytest.approx(small.tokens / rate)


def test_training_is_told_by_its_steps_or_by_its_epochs(forecast: type[Forecast]) -> None:
    steps = forecast("training.max_steps=7", "training.accumulation=3").student()
    assert steps.tokens == 7 * 3 * 512 and steps.seconds == pytest.approx(steps.tokens / RATES.trained)


def test_pairs_of_continuations_are_counted_in_both_orders(forecast: type[Forecast]) -> None:
    assert forecast("synthesis.generator=continuation").candidates().work == f"{40 * 6 * 5:,} candidates"


def test_a_corpus_bounds_the_sources(forecast: type[Forecast]) -> None:
    assert forecast("corpus.max_sentences=10").sources().work == "10 sentences from the corpus"
    assert forecast("corpus.max_sentences=10").candidates().work == "60 candidates"


def test_thresholds_given_by_the_recipe_cost_nothing(forecast: type[Forecast]) -> None:
    given = [f"synthesis.min_{name}=0.5" for name in ("faithfulness", "saliency", "equivalence")]
    assert forecast(*given).thresholds().seconds == 0
    assert forecast(*given[:2]).thresholds().seconds > 0


def test_the_evaluation_counts_the_file_it_is_given(forecast: type[Forecast]) -> None:
    assert forecast().evaluation().work.startswith(f"{len(LESSONS)} sentences")
    assert forecast("evaluation.num_examples=5").evaluation().work.startswith("5 sentences")


def test_training_in_full_takes_more_memory_and_disk_than_lora(forecast: type[Forecast]) -> None:
    full, lora = forecast().student(), forecast("training.method=lora").student()
    assert full.memory_bytes > lora.memory_bytes and full.disk_bytes > lora.disk_bytes


def test_a_recipe_says_how_weights_are_kept_where_the_model_writes(world: World) -> None:
    packed = Workshop(world.folder / "base", "cpu", 1, "int8").lm.runner
    whole = Workshop(world.folder / "base", "cpu", 1, "bf16").lm.runner
    assert isinstance(packed, NativeRunner) and packed.weight_bytes < 0.7 * whole.weight_bytes


def test_the_machine_is_measured_once(world: World) -> None:
    recipe = read_recipe(world.recipe)
    measured = Forecast(Workshop(world.folder / "base", "cpu", 1), load_task(recipe.task.name), recipe)
    rates = measured.rates
    assert min(rates) > 0 and measured.rates is rates


def test_every_stage_but_the_report_has_an_estimate(world: World, tmp_path: Path) -> None:
    recipe: Recipe = read_recipe(world.recipe)
    stages = build_stages(replace(recipe, run=replace(recipe.run, out=None)), tmp_path)
    assert [stage.name for stage in stages if stage.estimate is None] == ["report"]


def test_the_plan_s_pairs_are_of_the_order_of_those_made(
    forecast: type[Forecast], finished: FinishedRun
) -> None:
    made, planned = len(read_pairs(finished.folder)), forecast("corpus.max_sentences=16").pairs().work
    number = int(planned.split()[1])
    assert made / 2 <= number <= made * 2
