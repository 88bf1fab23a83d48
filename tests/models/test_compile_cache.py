"""A model that starts from kept weights writes what it writes when it is packed; nothing else is believed."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.encoder_reference import FAMILIES as ENCODERS
from models.encoder_reference import saved_encoder
from models.t5_reference import FAMILIES as T5S
from models.t5_reference import saved_t5
from potstill.files import read_json, write_json
from potstill.lm.embedding import load_encoder_runner
from potstill.lm.load import load_runner, load_t5_runner
from potstill.locks import locked
from potstill.models import compile_cache
from potstill.models.compile_cache import compile_cache_folder, file_name, kept_or_packed, weights_key
from potstill.models.program_weights import Packing, ProgramWeights, WeightKind
from small_disk import small_disk_at

IDS = torch.tensor([5, 9, 40, 3, 11, 70, 9])
KINDS: tuple[WeightKind, ...] = ("fp32", "bf16", "int8")
SavedReference = Callable[[str], tuple[Any, Path]]


def logits(model: Path, cache: Path | None, kind: WeightKind = "int8") -> torch.Tensor:
    runner = load_runner(model, kind, "cpu", cache)
    return runner.logits(runner.hidden_of_whole(IDS, [4, 3]))


def t5_logits(model: Path, cache: Path | None, kind: WeightKind) -> torch.Tensor:
    return load_t5_runner(model, kind, "cpu", cache).logits_of_whole(IDS, [4, 3], IDS[:3], [1, 2])


def encoder_states(model: Path, cache: Path | None, kind: WeightKind) -> torch.Tensor:
    with torch.inference_mode():
        return load_encoder_runner(model, kind, "cpu", cache).states(IDS, torch.zeros_like(IDS), [4, 3])


def packed_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.packed"))


@pytest.fixture
def model(saved_reference: SavedReference, capsys: pytest.CaptureFixture[str]) -> Path:
    folder = saved_reference("gemma3")[1]
    capsys.readouterr()
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def nothing_is_packed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on."""

    def refuse(*asked: Any) -> None:
        raise AssertionError("a weight is packed")

    return lambda: monkeypatch.setattr(Packing, "matrix", refuse)


def starts_alike(
    logits: Callable[[Path, Path | None, WeightKind], torch.Tensor],
    model: Path,
    cache: Path,
    kind: WeightKind,
    nothing_is_packed: Callable[[], None],
) -> None:
    expected = logits(model, None, kind)
    assert torch.equal(logits(model, cache, kind), expected)
    nothing_is_packed()
    assert torch.equal(logits(model, cache, kind), expected)


def test_a_decoder_starts_from_kept_weights(saved_reference, family, cache, nothing_is_packed, capsys):
    kind, model = KINDS[len(family) % 3], saved_reference(family)[1]
    capsys.readouterr()
    starts_alike(logits, model, cache, kind, nothing_is_packed)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("family", T5S)
def test_a_t5_starts_from_kept_weights(family, tmp_path, cache, nothing_is_packed):
    saved_t5(family, tmp_path / "t5")
    starts_alike(t5_logits, tmp_path / "t5", cache, "int8", nothing_is_packed)


@pytest.mark.parametrize("family", ENCODERS)
def test_an_encoder_starts_from_kept_weights(family, tmp_path, cache, nothing_is_packed):
    saved_encoder(family, "Model", tmp_path / "encoder")
    starts_alike(encoder_states, tmp_path / "encoder", cache, "bf16", nothing_is_packed)


def test_kinds_of_weights_are_kept_apart(model, cache):
    together = [logits(model, cache, kind) for kind in (*KINDS, *KINDS)]
    assert len(packed_files(cache)) == 3
    for first, second in zip(together[:3], together[3:], strict=True):
        assert torch.equal(first, second)


def test_the_key_changes_with_whatever_the_packed_weights_follow_from(model, monkeypatch):
    weights, times = model / "model.safetensors", (model / "model.safetensors").stat()
    keys = [weights_key(model, kind) for kind in KINDS]
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    # The same size, and the same time of change as before: only the content tells.
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    keys.append(weights_key(model, "int8"))
    os.utime(weights)
    keys.append(weights_key(model, "int8"))
    write_json(model / "config.json", read_json(model / "config.json") | {"rms_norm_eps": 1e-3})
    keys.append(weights_key(model, "int8"))
    for name in ("FORMAT", "__version__"):
        monkeypatch.setattr(compile_cache, name, "another")
        keys.append(weights_key(model, "int8"))
    assert len(set(keys)) == len(keys)


def test_the_key_of_a_large_file_changes_with_its_middle_and_its_end(tmp_path):
    large, keys = tmp_path / "large.gguf", set()
    for place in (None, 24 << 20, (48 << 20) - 1):
        with open(large, "wb") as file:
            file.truncate(48 << 20)
            if place is not None:
                # Any run of changes longer than the gaps between samples, as every new training leaves it.
                file.seek(place - (1 << 20))
                file.write(b"x" * (1 << 20))
        os.utime(large, ns=(0, 0))
        keys.add(weights_key(large, "int8"))
    assert len(keys) == 3


def damaged(content: bytes) -> dict[str, bytes]:
    """Every kind of what a disk or a person may do to a file."""
    flipped = {}
    for place in [*range(0, 400, 13), *np.linspace(400, len(content) - 1, 30).astype(int).tolist()]:
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        flipped[f"flipped at {place}"] = bytes(changed)
    cut = {f"cut to {size}": content[:size] for size in (0, 5, 8, 200, len(content) // 2, len(content) - 1)}
    other = {"longer": content + b"\0", "nothing but zeros": bytes(len(content)), "text": b"hello" * 1000}
    huge = {"a header of 2^60 bytes": (1 << 60).to_bytes(8, "little") + content[8:]}
    return flipped | cut | other | huge


def test_whatever_is_damaged_is_packed_anew_with_a_word(model, cache, capsys):
    expected = logits(model, cache)
    (file,) = packed_files(cache)
    whole = file.read_bytes()
    for what, content in damaged(whole).items():
        file.write_bytes(content)
        assert torch.equal(logits(model, cache), expected), what
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and "The model is packed anew." in told, what
        assert file.read_bytes() == whole, what


def test_another_models_file_under_this_name_is_not_taken(model, cache, capsys):
    expected = logits(model, cache)
    (file,) = packed_files(cache)
    weights = model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-20_000:] = bytes(20_000)
    weights.write_bytes(content)
    other = cache / file_name(model, "int8", weights_key(model, "int8"))
    file.rename(other)
    changed = logits(model, cache)
    assert "was made from other weights" in capsys.readouterr().err
    assert not torch.equal(changed, expected) and torch.equal(changed, logits(model, None))


def rewritten(file: Path, old: bytes, new: bytes) -> None:
    """The header changed; all that it says of the content's checksums still holds."""
    content = file.read_bytes()
    size = 8 + int.from_bytes(content[:8], "little")
    header = content[8:size].replace(old, new).rstrip(b" ")
    header += b" " * (-(8 + len(header)) % 64)
    file.write_bytes(len(header).to_bytes(8, "little") + header + content[size:])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"0.97x32.int8"', b'"0.96x32.int8"'),
        (b'"0.97x32.int8"', b'"0.97x64.int8"'),
        (b'"0.97x32.int8"', b'"1.vector"'),
        (b'"0.97x32.int8"', b'"0.97x32.bf16"'),
        (b'"dtype":"F32","shape":[32]', b'"dtype":"F32","shape":[16,2]'),
        (b'"dtype":"F32","shape":[32]', b'"dtype":"U8","shape":[128]'),
        (b'"crc32c"', b'"crc32"'),
        (b"potstill.packed/1", b"potstill.packed/2"),
        (b"[0,", b"[-64,"),
        (b"[0,", b"[64,"),
        (b'"dtype":"U8"', b'"dtype":"U8","dtype":"U8"'),
    ],
)
def test_a_header_that_was_made_up_is_refused(old, new, model, cache, capsys):
    expected = logits(model, cache)
    (file,) = packed_files(cache)
    whole = file.read_bytes()
    rewritten(file, old, new)
    assert file.read_bytes() != whole
    assert torch.equal(logits(model, cache), expected)
    assert capsys.readouterr().err.count("packed anew") == 1


def test_a_matrix_that_begins_amid_a_line_is_refused(model, cache, capsys):
    expected = logits(model, cache)
    (file,) = packed_files(cache)
    content = file.read_bytes()
    size = int.from_bytes(content[:8], "little")
    file.write_bytes((size + 4).to_bytes(8, "little") + content[8 : 8 + size] + b"    " + content[8 + size :])
    assert torch.equal(logits(model, cache), expected)
    assert "begin at a multiple of 64" in capsys.readouterr().err


def test_weights_that_changed_while_they_were_packed_are_not_kept(model, cache):
    def build(weights: ProgramWeights) -> None:
        weights.matrix([torch.ones(3, 4)], "int8")
        os.utime(model / "model.safetensors", ns=(7, 7))

    kept_or_packed(cache, model, "int8", build)
    assert not packed_files(cache)


def test_while_another_process_keeps_something_a_model_starts_all_the_same(model, cache, capsys):
    with locked(cache):
        assert torch.equal(logits(model, cache), logits(model, None))
    assert not packed_files(cache) and capsys.readouterr().err == ""
    logits(model, cache)
    assert len(packed_files(cache)) == 1


def test_many_that_start_at_once_write_the_same(model, cache):
    expected = logits(model, None)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: logits(model, cache), range(12)))
    assert all(torch.equal(one, expected) for one in found)
    assert len(packed_files(cache)) == 1 and not list(cache.glob(".tmp-*"))


def test_a_process_killed_at_any_point_leaves_nothing_that_is_believed(tmp_path):
    script = Path(__file__).with_name("killed_while_keeping.py")
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 6


def test_a_folder_that_cannot_be_written_costs_a_word(model, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert torch.equal(logits(model, tmp_path / "file"), logits(model, None))
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "does not keep the packed weights" in told


def test_a_full_disk_costs_a_word(model, tmp_path, capsys):
    with small_disk_at(tmp_path / "small", "16k") as disk:
        assert torch.equal(logits(model, disk), logits(model, None))
        assert not packed_files(disk) and not list(disk.glob(".tmp-*"))
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "No room left" in told


def test_a_folder_that_may_only_be_read_is_read(model, tmp_path, nothing_is_packed, capsys):
    with small_disk_at(tmp_path / "small", "4m") as disk:
        expected = logits(model, disk)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        logits(model, disk, "bf16")
        assert "does not keep the packed weights" in capsys.readouterr().err
        nothing_is_packed()
        assert torch.equal(logits(model, disk), expected)


def test_what_was_not_used_for_the_longest_time_goes_first(model, cache):
    def build(weights: ProgramWeights) -> None:
        weights.matrix([torch.ones(32, 64)], "int8")

    def keep(kind: WeightKind, max_bytes: int = 1 << 30) -> None:
        kept_or_packed(cache, model, kind, build, max_bytes=max_bytes)

    keep("fp32")
    keep("bf16")
    (cache / "mine.safetensors").write_bytes(bytes(9999))
    for place, file in enumerate(packed_files(cache)):
        os.utime(file, (place, place))
    keep("bf16")
    size = packed_files(cache)[0].stat().st_size
    keep("int8", max_bytes=2 * size)
    assert [file.name.split(".")[1] for file in packed_files(cache)] == ["bf16", "int8"]
    assert (cache / "mine.safetensors").is_file()


def test_the_folder_is_the_one_asked_for_or_the_variables(monkeypatch, tmp_path):
    monkeypatch.delenv("POTSTILL_COMPILE_CACHE", raising=False)
    assert compile_cache_folder() is None
    monkeypatch.setenv("POTSTILL_COMPILE_CACHE", "")
    assert compile_cache_folder() is None
    monkeypatch.setenv("POTSTILL_COMPILE_CACHE", "~/packed")
    assert compile_cache_folder() == Path.home() / "packed"
    assert compile_cache_folder(tmp_path) == tmp_path


def test_the_variable_is_enough(model, cache, monkeypatch):
    monkeypatch.setenv("POTSTILL_COMPILE_CACHE", str(cache))
    load_runner(model, "int8", "cpu")
    assert len(packed_files(cache)) == 1
