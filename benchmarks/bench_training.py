"""How fast does the trainer learn, beside transformers' `Trainer`, on the same examples in the same run?

Work: one pass over prompts of 30 to 60 tokens with targets of 12 to 28; the body of the model trained with
AdamW and float32 masters, bfloat16 products, embedding and head frozen; 32 examples a step on both sides,
ours in one packed batch. The rival pads its batches (16 examples, two added up: 32 at once need over 9 GiB)
and takes the logits of every position. Only real tokens count, on both sides; our last checkpoint is part
of our time. Ceiling: operations a second of bfloat16 products of the model's own shapes. CPU seconds stand
beside the wall's, for a machine that others work on too.

    python benchmarks/bench_training.py [--model gemma-3-270m] [--steps 4] [--rounds 3] [--out FILE]
"""

import argparse
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from provenance import provenance

from potstill.devices import use_threads
from potstill.hub.resolve import resolve
from potstill.models.decoder import Decoder
from potstill.models.export import save_decoder
from potstill.models.load import load_decoder
from potstill.progress import Lines
from potstill.tasks.example import Example
from potstill.tokenization.load import load_tokenizer
from potstill.training.settings import TrainingSettings
from potstill.training.trainer import train

EXAMPLES_A_STEP = 32
BATCH_TOKENS = 2304


class Speed(NamedTuple):
    wall_s: float
    cpu_s: float


def make_examples(count: int, vocab_size: int) -> list[Example]:
    rng = random.Random(1)

    def ids(least: int, most: int) -> tuple[int, ...]:
        return tuple(rng.randrange(5, vocab_size) for _ in range(rng.randrange(least, most + 1)))

    return [Example(ids(30, 60), ids(12, 28)) for _ in range(count)]


def timed(work: Callable[[], object]) -> Speed:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Speed(time.perf_counter() - wall, time.process_time() - cpu)


def ours(decoder: Decoder, examples: Sequence[Example]) -> Speed:
    settings = TrainingSettings(
        dtype="bf16",
        batch_tokens=BATCH_TOKENS,
        epochs=1,
        checkpoint_every=10**6,
        learning_rate=1e-6,
    )
    with tempfile.TemporaryDirectory() as folder:
        return timed(lambda: train(decoder, examples, settings, Path(folder)))


def rival_model(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("embed_tokens" not in name and "lm_head" not in name)
    return model


def rival(model: Any, examples: Sequence[Example], num_steps: int) -> Speed:
    from transformers import Trainer, TrainingArguments

    def collate(rows: Sequence[Example]) -> dict[str, torch.Tensor]:
        width = max(row.num_tokens + 1 for row in rows)
        batch = {
            key: torch.zeros(len(rows), width, dtype=torch.int64) for key in ("input_ids", "attention_mask")
        }
        batch["labels"] = torch.full((len(rows), width), -100)
        for index, row in enumerate(rows):
            ids = torch.tensor([*row.prompt_ids, *row.target_ids])
            batch["input_ids"][index, : len(ids)] = ids
            batch["attention_mask"][index, : len(ids)] = 1
            batch["labels"][index, len(row.prompt_ids) : len(ids)] = ids[len(row.prompt_ids) :]
        return batch

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=EXAMPLES_A_STEP // 2,
            gradient_accumulation_steps=2,
            max_steps=num_steps,
            learning_rate=1e-6,
            bf16=True,
            use_cpu=True,
            save_strategy="no",
            report_to=[],
            logging_strategy="no",
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        trainer = Trainer(model, arguments, train_dataset=list(examples), data_collator=collate)
        return timed(trainer.train)


def product_flops(decoder: Decoder) -> float:
    """Operations a second of bfloat16 products of BATCH_TOKENS rows with the feed-forward weights."""
    weight = decoder.model.layers[0].mlp.up_proj.weight.detach().bfloat16()
    x = torch.randn(BATCH_TOKENS, weight.shape[1]).bfloat16()
    seconds = min(timed(lambda: x @ weight.T).wall_s for _ in range(20))
    return 2 * x.shape[0] * weight.numel() / seconds


def measure(model: str, num_steps: int, rounds: int) -> dict[str, Any]:
    use_threads()
    path = resolve(model, progress=Lines(sys.stderr)).path
    decoder = load_decoder(path, dtype=torch.bfloat16)
    examples = make_examples(EXAMPLES_A_STEP * num_steps, decoder.config.vocab_size)
    num_tokens = sum(len(example.prompt_ids) + len(example.target_ids) for example in examples)
    peak = product_flops(decoder)
    with tempfile.TemporaryDirectory() as folder:
        save_decoder(decoder, load_tokenizer(path), Path(folder) / "model")
        theirs = rival_model(Path(folder) / "model")
    ours(decoder, examples[:EXAMPLES_A_STEP])
    rival(theirs, examples, 1)
    seconds: dict[str, list[Speed]] = {"potstill": [], "transformers": []}
    for _ in range(rounds):
        # In turns, so that what else the machine does meets both.
        seconds["potstill"].append(ours(decoder, examples))
        seconds["transformers"].append(rival(theirs, examples, num_steps))
    speeds = {name: [num_tokens / spent.wall_s for spent in all_] for name, all_ in seconds.items()}
    cpu = {name: [num_tokens / spent.cpu_s for spent in all_] for name, all_ in seconds.items()}
    return {
        "benchmark": "training",
        "model": model,
        "steps": num_steps,
        "tokens": num_tokens,
        "tokens_per_second": speeds,
        "tokens_per_cpu_second": cpu,
        "ratio": statistics.median(speeds["potstill"]) / statistics.median(speeds["transformers"]),
        "cpu_ratio": statistics.median(cpu["potstill"]) / statistics.median(cpu["transformers"]),
        "product_gflop_per_s": peak / 1e9,
        "share_of_peak": _needed_flops(decoder, examples)
        / statistics.median(s.wall_s for s in seconds["potstill"])
        / peak,
        "peak_gib_of_both": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        **provenance(),
    }


def _needed_flops(decoder: Decoder, examples: Sequence[Example]) -> float:
    """Six a body weight and token (forward, and twice that backward), four a head weight and target."""
    head = decoder.head_weight.numel()
    body = sum(
        p.numel()
        for name, p in decoder.named_parameters()
        if "embed_tokens" not in name and "lm_head" not in name
    )
    return sum(6.0 * body * e.num_tokens + 4.0 * head * len(e.target_ids) for e in examples)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    found = measure(asked.model, asked.steps, asked.rounds)
    print(f"{'':14} {'tokens/s':>9}   {'spread':14} tokens/CPU second")
    for name, speeds in found["tokens_per_second"].items():
        spread = f"{min(speeds):.0f} to {max(speeds):.0f}"
        cpu = statistics.median(found["tokens_per_cpu_second"][name])
        print(f"{name:14} {statistics.median(speeds):9.0f}   {spread:14} {cpu:.0f}")
    print(f"{'ratio':14} {found['ratio']:9.2f}   {'':14} {found['cpu_ratio']:.2f}")
    print(json.dumps(found))
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
