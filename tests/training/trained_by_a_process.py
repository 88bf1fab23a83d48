"""Train the tiny decoder into a folder, killed by SIGKILL at a named moment; run by test_killed_training.py.

python trained_by_a_process.py FOLDER [MOMENT COUNT]: die the COUNT-th time that MOMENT comes.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from conftest import reversal_examples, tiny_decoder

from potstill import files
from potstill.training import checkpoint, trainer
from potstill.training.settings import TrainingSettings
from potstill.training.trainer import train

SETTINGS = TrainingSettings(
    dtype="bf16", batch_tokens=64, learning_rate=1e-2, max_steps=9, checkpoint_every=2, evaluate_every=3,
    validation_share=0.2, keep="best",
)  # fmt: skip

# Where the process dies: just before this function of this module is called.
MOMENTS = {
    "before a step": (trainer.NamedOptimizer, "step"),
    "before a log record": (trainer.LossLog, "add_step"),
    "before a checkpoint": (checkpoint, "save_checkpoint"),
    "with the state written and no table": (checkpoint, "write_json"),
    "before a rename": (files.os, "replace"),
    "before the old one is removed": (checkpoint, "remove_checkpoints"),
}


def die_before(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return counted


def main(folder: Path, moment: str | None, count: int) -> None:
    torch.set_num_threads(1)
    if moment is not None:
        owner, name = MOMENTS[moment]
        setattr(owner, name, die_before(getattr(owner, name), count))
    decoder = tiny_decoder()
    train(decoder, reversal_examples(), SETTINGS, folder / "training")
    weights = b"".join(p.view(torch.uint8).numpy().tobytes() for p in decoder.parameters())
    (folder / "weights.bin").write_bytes(weights)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        sys.argv[2] if len(sys.argv) > 2 else None,
        int(sys.argv[3]) if len(sys.argv) > 3 else 0,
    )
