"""Train the tiny decoder into a folder, killed by SIGKILL at a named moment; run by test_killed_training.py.

It imports everything once, then reads a request a line and forks a child for each, so that a training costs
what it computes and not the start of Python and torch. A request is JSON: [folder] or
[folder, moment, count], where the child dies the count-th time that the moment comes. The answer is the exit
status.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch  # noqa: F401  (first imported where a checkpoint is written)
import torch
import torch._dynamo  # where an optimizer is made: a second that no child is to spend
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


def main(path: str, moment: str | None = None, count: int = 0) -> None:
    folder = Path(path)
    torch.set_num_threads(1)
    if moment is not None:
        owner, name = MOMENTS[moment]
        setattr(owner, name, die_before(getattr(owner, name), count))
    decoder = tiny_decoder()
    train(decoder, reversal_examples(), SETTINGS, folder / "training")
    weights = b"".join(p.view(torch.uint8).numpy().tobytes() for p in decoder.parameters())
    (folder / "weights.bin").write_bytes(weights)


def serve() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                main(*json.loads(line))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
