"""Checkpoints: the newest valid one wins; what is cut short, altered or absent is passed over."""

import json
import shutil

import pytest
import torch

from potstill.errors import DamagedError
from potstill.training.checkpoint import (
    Best,
    Standing,
    newest_checkpoint,
    remove_checkpoints,
    remove_leftovers,
    save_checkpoint,
)


def standing(step: int) -> Standing:
    return Standing(
        step, log_records=step, seconds=1.5, best=Best(step, 0.25), dtype="bf16", identity={"settings": "abc"}
    )


def save(folder, step):
    save_checkpoint(folder, "checkpoint", standing(step), {"weights.a": torch.arange(5.0) + step})


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path):
    save(tmp_path, 7)
    found = newest_checkpoint(tmp_path, "checkpoint")
    assert found.standing == standing(7)
    assert torch.equal(found.tensors["weights.a"], torch.arange(5.0) + 7)


def test_an_empty_folder_has_none(tmp_path):
    assert newest_checkpoint(tmp_path, "checkpoint") is None


def cut_state(folder):
    state = folder / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-3])


def flip_a_bit(folder):
    state = folder / "state.safetensors"
    content = bytearray(state.read_bytes())
    content[-1] ^= 1
    state.write_bytes(content)


def cut_table(folder):
    table = folder / "checkpoint.json"
    table.write_bytes(table.read_bytes()[:20])


def forget_a_key(folder):
    table = json.loads((folder / "checkpoint.json").read_text())
    del table["standing"]["identity"]
    (folder / "checkpoint.json").write_text(json.dumps(table))


def claim_another_step(folder):
    table = folder / "checkpoint.json"
    table.write_text(table.read_text().replace('"step": 10', '"step": 12'))


def claim_an_unknown_dtype(folder):
    table = folder / "checkpoint.json"
    table.write_text(table.read_text().replace("bf16", "bf17"))


def remove_state(folder):
    (folder / "state.safetensors").unlink()


def remove_table(folder):
    (folder / "checkpoint.json").unlink()


@pytest.mark.parametrize(
    "damage",
    [
        cut_state,
        flip_a_bit,
        cut_table,
        forget_a_key,
        claim_another_step,
        claim_an_unknown_dtype,
        remove_state,
        remove_table,
    ],
)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, damage):
    save(tmp_path, 9)
    save(tmp_path, 10)
    damage(tmp_path / "checkpoint-00000010")
    assert newest_checkpoint(tmp_path, "checkpoint").standing.step == 9


def test_a_checkpoint_of_a_newer_version_is_refused(tmp_path):
    save(tmp_path, 1)
    path = tmp_path / "checkpoint-00000001" / "checkpoint.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(DamagedError, match="newer version"):
        newest_checkpoint(tmp_path, "checkpoint")


def test_old_ones_and_leftovers_are_removed(tmp_path):
    for step in (1, 2, 3):
        save(tmp_path, step)
    shutil.copytree(tmp_path / "checkpoint-00000003", tmp_path / ".tmp-checkpoint-00000004")
    remove_checkpoints(tmp_path, "checkpoint", but=3)
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000003"]
