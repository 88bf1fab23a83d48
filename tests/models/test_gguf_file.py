"""Tensors from GGUF files, equal to what the gguf library makes of them."""

import numpy as np
import pytest
import torch

from potstill.errors import DamagedError
from potstill.hub.resolve import resolve
from potstill.models.gguf_file import GgufFile
from potstill.progress import Silent

READABLE = ["F32", "F16", "BF16", "Q4_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL"]


def write_packed(path, name: str, rows: int = 70, blocks: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Write random blocks of the type and say (the bytes, the library's numbers)."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
    from gguf.quants import dequantize

    kind = GGMLQuantizationType[name]
    block_bytes = GGML_QUANT_SIZES[kind][1]
    packed = np.random.default_rng(5).integers(0, 256, (rows, blocks * block_bytes), dtype=np.uint8)
    write_tensor(path, packed, kind)
    with np.errstate(all="ignore"):
        return packed, dequantize(packed, kind)


def write_tensor(path, content: np.ndarray, kind) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "tiny")
    writer.add_tensor("t", content, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("name", READABLE)
def test_numbers_are_those_of_the_gguf_library(tmp_path, name):
    _, expected = write_packed(tmp_path / "t.gguf", name)
    file = GgufFile(tmp_path / "t.gguf")
    got = file.read("t")
    assert file.shape("t") == got.shape == expected.shape
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, expected)


def test_parts_join_where_a_tensor_is_larger_than_one_part(tmp_path):
    _, expected = write_packed(tmp_path / "t.gguf", "Q8_0", rows=300, blocks=100)
    np.testing.assert_array_equal(GgufFile(tmp_path / "t.gguf").read("t"), expected)


@pytest.mark.parametrize("name", ["F32", "F16", "BF16", "Q4_K"])
def test_bfloat16_is_what_torch_rounds_to(tmp_path, name):
    # Far more than a part; random bytes hold infinities, what is no number, and numbers next to nothing.
    _, expected = write_packed(tmp_path / "t.gguf", name, rows=300, blocks=100)
    bits = GgufFile(tmp_path / "t.gguf").read_bf16("t")
    rounded = torch.from_numpy(expected.copy()).to(torch.bfloat16)
    got = torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)
    torch.testing.assert_close(got, rounded, rtol=0, atol=0, equal_nan=True)


def test_of_two_bfloat16_as_near_the_even_one_is_taken(tmp_path):
    from gguf import GGMLQuantizationType

    numbers = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF, 0xFF800000, 1], np.uint32)
    write_tensor(tmp_path / "t.gguf", numbers.view(np.float32), GGMLQuantizationType.F32)
    assert GgufFile(tmp_path / "t.gguf").read_bf16("t").tolist() == [
        0x3F80,
        0x3F82,
        0x3F81,
        0x7F80,
        0xFF80,
        0,
    ]


def test_a_type_that_cannot_be_read_is_named(tmp_path):
    from gguf import GGMLQuantizationType

    write_tensor(tmp_path / "t.gguf", np.arange(64, dtype=np.int32), GGMLQuantizationType.I32)
    with pytest.raises(DamagedError, match=r"t\.gguf: tensor 't' has type I32"):
        GgufFile(tmp_path / "t.gguf").read("t")


def test_an_unknown_tensor_is_named(tmp_path):
    write_packed(tmp_path / "t.gguf", "F32")
    with pytest.raises(DamagedError, match="no tensor 'u'"):
        GgufFile(tmp_path / "t.gguf").read("u")


def test_a_file_cut_short_after_it_was_opened_is_damaged(tmp_path):
    write_packed(tmp_path / "t.gguf", "F32")
    file = GgufFile(tmp_path / "t.gguf")
    (tmp_path / "t.gguf").write_bytes((tmp_path / "t.gguf").read_bytes()[:-40])
    with pytest.raises(DamagedError, match="cut short"):
        file.read("t")


@pytest.mark.weights
@pytest.mark.slow
def test_every_tensor_of_the_embedded_gemma_is_the_librarys():
    from gguf import GGUFReader
    from gguf.quants import dequantize

    path = resolve("gemma-3-270m", progress=Silent()).path
    file, theirs = GgufFile(path), GGUFReader(path)
    assert file.tensor_names() == [tensor.name for tensor in theirs.tensors]
    for tensor in theirs.tensors:
        got = file.read(tensor.name)
        assert got.shape == tuple(tensor.shape[::-1])
        rows = slice(0, 4096)
        np.testing.assert_array_equal(got[rows], dequantize(tensor.data[rows], tensor.tensor_type))
