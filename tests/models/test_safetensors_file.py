"""Tensors from safetensors, whole and sharded; hostile headers and pickles are refused."""

import json
import struct
import tracemalloc
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from potstill.errors import DamagedError, ModelMissing
from potstill.models.safetensors_file import MAX_HEADER_BYTES, SafetensorsFolder

TENSORS = {
    "matrix": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "number": torch.tensor(3),
    "empty": torch.empty(0, 5),
    "truth": torch.tensor([True, False]),
}
WHOLE = save(TENSORS, {"format": "pt"})


def with_header(header: object, content: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def described(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_every_tensor_comes_back_in_its_type_and_shape(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(WHOLE)
    folder = SafetensorsFolder(tmp_path)
    assert sorted(folder.names()) == sorted(TENSORS)
    for name, tensor in TENSORS.items():
        assert folder.shape(name) == tuple(tensor.shape)
        assert folder.dtype(name) == tensor.dtype
        assert torch.equal(folder.read(name), tensor)


def test_shards_are_read_as_one(tmp_path):
    shards = {
        "model-00001-of-00002.safetensors": ["matrix", "half"],
        "model-00002-of-00002.safetensors": ["number"],
    }
    for file, names in shards.items():
        save_file({name: TENSORS[name] for name in names}, tmp_path / file)
    index = {"weight_map": {name: file for file, names in shards.items() for name in names}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    folder = SafetensorsFolder(tmp_path)
    assert sorted(folder.names()) == ["half", "matrix", "number"]
    assert torch.equal(folder.read("number"), TENSORS["number"])
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelMissing, match="model-00002"):
        SafetensorsFolder(tmp_path)


@pytest.mark.parametrize(
    "index", ["[]", "{}", '{"weight_map": {"t": 3}}', '{"weight_map": {"t": "../t.safetensors"}}']
)
def test_an_index_that_cannot_be_right_is_refused(tmp_path, index):
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(DamagedError, match=r"index\.json"):
        SafetensorsFolder(tmp_path)


def test_a_file_cut_short_anywhere_is_damaged(tmp_path):
    path = tmp_path / "t.safetensors"
    for length in range(len(WHOLE)):
        path.write_bytes(WHOLE[:length])
        with pytest.raises(DamagedError, match=r"t\.safetensors"):
            SafetensorsFolder(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255))
def test_any_byte_changed_is_read_or_refused_but_never_a_crash(tmp_path, place, value):
    content = bytearray(WHOLE)
    content[place] = value
    (tmp_path / "t.safetensors").write_bytes(content)
    try:
        file = SafetensorsFolder(tmp_path / "t.safetensors")
    except DamagedError:
        return
    for name in file.names():
        file.read(name)


HOSTILE = {
    "huge header": struct.pack("<Q", 2**63) + b"{}",
    "header over the limit": struct.pack("<Q", MAX_HEADER_BYTES + 1) + bytes(100),
    "no JSON": with_header(b"{nonsense"),
    "deep JSON": with_header(b"[" * 200_000),
    "a long list": with_header(b"[" + b"1," * 2_000_000 + b"1]"),
    "not UTF-8": with_header(b'{"\xff": 1}'),
    "a list": with_header([]),
    "a name twice": with_header(b'{"t": {}, "t": {}}'),
    "no description": with_header({"t": 3}),
    "unknown type": with_header({"t": described("F31")}, bytes(8)),
    "type that is no text": with_header({"t": described(["F32"])}, bytes(8)),
    "negative shape": with_header({"t": described(shape=(-1, -2))}, bytes(8)),
    "shape that is true": with_header({"t": described(shape=(True, 2))}, bytes(8)),
    "shape that is text": with_header({"t": described(shape="2")}, bytes(8)),
    "huge shape": with_header({"t": described(shape=(2**40, 2**40))}, bytes(8)),
    "many dimensions": with_header({"t": described(shape=(1,) * 500)}, bytes(8)),
    "offsets backwards": with_header({"t": described(offsets=(8, 0))}, bytes(8)),
    "offsets past the end": with_header({"t": described(offsets=(8, 16))}, bytes(8)),
    "one offset": with_header({"t": described(offsets=(8,))}, bytes(8)),
    "a gap": with_header({"t": described(), "u": described(offsets=(16, 24))}, bytes(24)),
    "overlap": with_header({"t": described(), "u": described(offsets=(4, 12))}, bytes(12)),
    "the same place twice": with_header({"t": described(), "u": described()}, bytes(8)),
    "bytes left over": with_header({"t": described()}, bytes(9)),
    "nothing": b"",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_header_is_refused_and_nothing_large_is_made(tmp_path, content):
    path = tmp_path / "t.safetensors"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DamagedError, match=r"t\.safetensors"):
            SafetensorsFolder(path)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(content) + 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_a_pickle_is_never_opened(tmp_path, name):
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    with pytest.raises(ModelMissing, match=rf"{name} is a pickle"):
        SafetensorsFolder(tmp_path)


def test_a_folder_without_weights_says_what_it_needs(tmp_path):
    with pytest.raises(ModelMissing, match=r"model\.safetensors"):
        SafetensorsFolder(tmp_path)


def test_tensors_are_compared_without_being_held(tmp_path: Path) -> None:
    large = torch.arange(1 << 19, dtype=torch.float32)
    other = large.clone()
    other[-1] += 1
    tensors = {"a": large, "b": large.clone(), "other": other, "shaped": large.view(2, -1), "none": large[:0]}
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, tmp_path / "model.safetensors")
    folder = SafetensorsFolder(tmp_path)
    assert folder.are_equal("a", "b") and folder.are_equal("none", "none")
    assert not any(folder.are_equal("a", name) for name in ("other", "shaped", "none"))
