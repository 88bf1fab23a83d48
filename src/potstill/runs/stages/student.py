"""Stage `student`: train a copy of a base model on the pairs that were kept."""

from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from typing import Any

import torch

from potstill.devices import default_device, release_memory, use_threads
from potstill.files import write_json
from potstill.models.adapters import merge_lora, save_adapter
from potstill.models.export import save_decoder
from potstill.models.load import load_decoder
from potstill.runs.recipe import Recipe
from potstill.runs.stage import StageContext
from potstill.synthesis.dataset import KEPT, read_pairs
from potstill.tasks.example import Example
from potstill.tasks.student import StudentCard, write_card
from potstill.tasks.task import Task
from potstill.tokenization.load import load_tokenizer
from potstill.tokenization.tokenizer import Tokenizer
from potstill.training.history import TrainingResult
from potstill.training.trainer import train
from potstill.types import SamplingParams

STUDENT, ADAPTER, HISTORY = "student", "adapter", "history.json"


def train_student(context: StageContext, base: Path, base_name: str, task: Task, recipe: Recipe) -> None:
    use_threads(recipe.run.threads)
    device = default_device(recipe.run.device)
    settings = recipe.training
    tokenizer = load_tokenizer(base)
    examples = to_examples(read_pairs(context.inputs["pairs"]), task, tokenizer)
    # In float32 whatever it will compute in: the masters of trained weights begin unrounded, and a resumed
    # process begins with the same weights even where it would choose another dtype.
    decoder = load_decoder(base, dtype=torch.float32, device=device)
    work = context.folder / "training"
    result = train(decoder, examples, settings, work, progress=context.progress)
    if settings.method == "lora":
        save_adapter(decoder, context.folder / ADAPTER, base_name)
        merge_lora(decoder)
    save_decoder(decoder, tokenizer, context.folder / STUDENT)
    write_card(context.folder / STUDENT, student_card(task, recipe))
    write_json(context.folder / HISTORY, _history(result))
    # Checkpoints are for a training that was killed; this one is done.
    rmtree(work)
    del decoder
    release_memory()
    context.record("num_examples", len(examples))
    context.record("training_tokens", result.num_tokens)
    context.record("training_seconds", result.seconds)


def student_card(task: Task, recipe: Recipe) -> StudentCard:
    """Greedy by default: a user who shortens a text wants the same answer twice."""
    sampling = SamplingParams(temperature=0, max_tokens=recipe.evaluation.max_tokens, stop=("\n",))
    return StudentCard(task=task.name, prompt_template=task.student_template, sampling=sampling)


def to_examples(rows: Sequence[dict[str, Any]], task: Task, tokenizer: Tokenizer) -> list[Example]:
    """The student's prompt and the target after a space, as generation will split them; EOS ends it."""
    kept = [row for row in rows if row["verdict"] == KEPT]
    prompts = tokenizer.encode_batch([task.student_prompt(row["source"]) for row in kept])
    targets = tokenizer.encode_batch([f" {row['target_text']}" for row in kept])
    bos = () if tokenizer.bos_id is None else (tokenizer.bos_id,)
    end = tokenizer.eos_ids[:1]
    return [
        Example((*bos, *prompt), (*target, *end)) for prompt, target in zip(prompts, targets, strict=True)
    ]


def _history(result: TrainingResult) -> dict[str, Any]:
    """What can be told of a training without a clock, so that equal trainings leave equal files."""
    return {
        "losses": [[step.step, step.loss] for step in result.steps],
        "validation": [
            [item.step, item.figures["loss"]] for item in result.evaluations if item.name == "validation"
        ],
        "kept_step": result.kept_step,
        "num_tokens": result.num_tokens,
        "num_targets": result.num_targets,
    }
