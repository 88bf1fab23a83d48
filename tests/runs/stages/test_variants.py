"""Other recipes over the same chain: LoRA, continuations, two-way tasks, the teacher's own stories."""

import json
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch

from models.encoder_reference import saved_encoder
from models.t5_reference import change_config
from potstill.errors import MissingError, PotstillError, UsageError
from potstill.files import read_json
from potstill.records.read import read_records
from potstill.runs.stages.candidates import read_candidates
from potstill.runs.stages.sources import read_sources
from potstill.synthesis.dataset import KEPT, SCORES, read_pairs
from potstill.synthesis.entailment import load_entailment
from potstill.types import TextPair
from runs.stages.tiny_run import FinishedRun, run_recipe
from runs.stages.tiny_world import LESSONS, World, openers
from tokenization.small_tokenizers import write_tokenizer

pytestmark = pytest.mark.slow
Variant = Callable[..., FinishedRun]


@pytest.fixture
def variant(copied: FinishedRun, world: World) -> Variant:
    """A run with other settings, over what the finished one has made already."""

    def run(*overrides: str) -> FinishedRun:
        return run_recipe(world, copied.folder, "training.max_steps=3", *overrides)

    return run


def check_funnel(run: FinishedRun) -> None:
    funnel = read_json(run.outputs["pairs"] / "funnel.json")
    assert funnel["num_kept"] + sum(funnel["losses"].values()) == funnel["num_candidates"]
    assert funnel["num_candidates"] == len(read_candidates(run.outputs["candidates"]))
    assert funnel["num_kept"] == len(read_pairs(run.folder)) > 0


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_lora_leaves_a_merged_student_and_an_adapter_that_peft_loads(variant: Variant, world: World) -> None:
    peft = pytest.importorskip("peft", reason="peft is in the dependency group `oracles`")
    transformers = pytest.importorskip(
        "transformers", reason="transformers is in the dependency group `oracles`"
    )
    run = variant("training.method=lora", "training.learning_rate=1e-2", "training.lora_rank=4")
    base = transformers.AutoModelForCausalLM.from_pretrained(world.folder / "base", dtype=torch.float32)
    ids = torch.arange(3, 40)[None]
    before = base(ids).logits.detach()
    adapted = peft.PeftModel.from_pretrained(base, run.folder / "adapter")
    assert json.loads((run.folder / "adapter" / "adapter_config.json").read_text())["r"] == 4
    student = transformers.AutoModelForCausalLM.from_pretrained(run.folder / "student", dtype=torch.float32)
    merged = adapted.merge_and_unload().state_dict()
    for name, weight in student.state_dict().items():
        # The student is kept in bfloat16, whose numbers have eight bits.
        torch.testing.assert_close(weight, merged[name], rtol=2**-8, atol=1e-6)
    assert (student(ids).logits - before).abs().max() > 0.5, "the adapter changes what the model says"


def test_training_in_full_again_no_longer_links_the_adapter(variant: Variant) -> None:
    lora = variant("training.method=lora")
    assert (lora.folder / "adapter").exists()
    full = variant()
    assert not (full.folder / "adapter").is_symlink()
    assert (lora.outputs["student"] / "adapter").is_dir()


def test_continuations_of_one_context_are_paired_in_every_order(variant: Variant, world: World) -> None:
    run = variant("synthesis.generator=continuation", f"corpus.paths={[str(world.folder / 'openers.jsonl')]}")
    check_funnel(run)
    by_context: dict[str, set[tuple[str, str]]] = {}
    for candidate in read_candidates(run.outputs["candidates"]):
        by_context.setdefault(candidate.context, set()).add((candidate.source, candidate.target_text))
    assert set(by_context) <= set(openers())
    for pairs in by_context.values():
        texts = {text for pair in pairs for text in pair}
        assert pairs == set(permutations(texts, 2))
    for row in read_pairs(run.folder):
        assert row["generator"] == "continuation" and row["context"] in openers()
        assert row["source"] not in openers()


def test_two_way_tasks_ask_whether_both_texts_say_the_same(variant: Variant, world: World) -> None:
    run = variant(f"task.name={world.folder / 'two_way.toml'}")
    check_funnel(run)
    minimum = read_json(run.outputs["thresholds"] / "thresholds.json")["minimums"]["equivalence"]
    for row in read_pairs(run.folder):
        assert row["equivalence"] >= minimum
        assert row["equivalence"] == min(row["faithfulness"], row["saliency"])


def test_without_a_corpus_the_teacher_writes_the_sentences(variant: Variant) -> None:
    run = variant("corpus.paths=[]", "synthesis.num_sources=12")
    check_funnel(run)
    sources = read_sources(run.outputs["sources"])
    known = {source for source, _, _ in LESSONS}
    assert len({source.text for source in sources}) == len(sources) == 12
    assert sum(source.text in known for source in sources) >= 6
    assert all(source.span is None and source.seed is not None for source in sources)
    assert all(row["span_path"] is None and row["span_start"] is None for row in read_pairs(run.folder))


def test_a_teacher_whose_stories_hold_no_sentences_is_told_to_be_given_text(variant: Variant) -> None:
    with pytest.raises(MissingError, match="Give it text of your own with --corpus"):
        variant("corpus.paths=[]", "synthesis.min_words=60", "synthesis.max_words=70")


def test_thresholds_given_in_the_recipe_are_taken_as_they_are(variant: Variant) -> None:
    given = {"faithfulness": -3.0, "saliency": -4.0, "equivalence": 0.5}
    run = variant(*(f"synthesis.min_{name}={value}" for name, value in given.items()))
    thresholds = read_json(run.outputs["thresholds"] / "thresholds.json")
    assert thresholds == {"learnt": {}, "minimums": given}
    check_funnel(run)


def test_limits_that_nothing_meets_end_the_run_with_the_losses(variant: Variant) -> None:
    with pytest.raises(PotstillError, match=r"None of 96 candidates passed every filter \(.*not said by"):
        variant("synthesis.min_faithfulness=99", "synthesis.min_saliency=0", "synthesis.min_equivalence=0")


def test_too_few_candidates_to_learn_from_say_which_settings_help(variant: Variant) -> None:
    with pytest.raises(PotstillError, match="too few to learn thresholds from.*set min_faithfulness"):
        variant("synthesis.num_sources=3")


def test_another_base_than_the_teacher_is_the_one_that_is_trained(variant: Variant, world: World) -> None:
    by_teacher = variant()
    other = Path(by_teacher.outputs["student"]) / "student"
    run = variant(f"model.student={other}")
    assert run.outputs["pairs"] == by_teacher.outputs["pairs"]
    assert run.outputs["student"] != by_teacher.outputs["student"]


def test_every_verdict_row_has_scores_up_to_the_critic_it_fell_to(finished: FinishedRun) -> None:
    for path in sorted(finished.outputs["verdicts"].glob("chunk-*.jsonl")):
        for row in read_records(path):
            asked = [row[name] is not None for name in SCORES if name != "equivalence"]
            assert asked == sorted(asked, reverse=True), row
            assert all(asked) or row["verdict"] != KEPT


def test_a_model_of_inference_judges_what_the_other_filters_let_through(
    variant: Variant, tmp_path: Path
) -> None:
    saved_encoder("bert", "ForSequenceClassification", tmp_path)
    write_tokenizer("wordpiece", tmp_path)
    every = variant(f"synthesis.entailment_model={tmp_path}", "synthesis.min_entailment=0")
    passed = [TextPair(row["source"], row["target_text"]) for row in kept_rows(every)]
    scores = sorted(load_entailment(tmp_path).scores(passed))
    middle = float(scores[len(scores) // 2 - 1] + scores[len(scores) // 2]) / 2
    run = variant(f"synthesis.entailment_model={tmp_path}", f"synthesis.min_entailment={middle}")
    lost = read_json(run.outputs["pairs"] / "funnel.json")["losses"]["does not follow from the source"]
    assert lost == sum(score < middle for score in scores) > 0
    assert run.outputs["thresholds"] == every.outputs["thresholds"]
    check_funnel(run)


def test_a_model_without_a_label_for_it_is_no_critic_of_entailment(variant: Variant, tmp_path: Path) -> None:
    saved_encoder("bert", "Model", tmp_path)
    change_config(tmp_path, id2label={"0": "good", "1": "bad"})
    with pytest.raises(UsageError, match="good, bad; a critic of entailment needs"):
        variant(f"synthesis.entailment_model={tmp_path}")


def kept_rows(run: FinishedRun) -> list[dict[str, Any]]:
    paths = sorted(run.outputs["verdicts"].glob("chunk-*.jsonl"))
    return [row for path in paths for row in read_records(path) if row["verdict"] == KEPT]
