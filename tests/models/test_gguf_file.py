"""Tensors from GGUF files, equal to what the gguf library makes of them."""

import numpy as np
import pytest

from potstill.errors import DamagedError
from potstill.hub.resolve import resolve
from potstill.models.gguf_file import GgufFile
from potstill.progress import Silent

READABLE = ["F32", "F16", "BF16", "Q4_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL"]


def write_packed(path, name: str, rows: int = 70, blocks: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Write random blocks of the type and say (the bytes, the library's numbers)."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter
    from gguf.quants import dequantize

    kind = GGMLQuantizationType[name]
    block_bytes = GGML_QUANT_SIZES[kind][1]
    packed = np.random.default_rng(5).integers(0, 256, (rows, blocks * block_bytes), dtype=np.uint8)
    writer = GGUFWriter(path, "tiny")
    writer.add_tensor("t", packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with np.errstate(all="ignore"):
        return packed, dequantize(packed, kind)


@pytest.mark.parametrize("name", READABLE)
def test_numbers_are_those_of_the_gguf_library(tmp_path, name):
    _, expected = write_packed(tmp_path / "t.gguf", name)
    file = GgufFile(tmp_path / "t.gguf")
    with np.errstate(all="ignore"):
        got = file.read("t")
    assert file.shape("t") == got.shape == expected.shape
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, expected)


def test_parts_join_where_a_tensor_is_larger_than_one_part(tmp_path):
    _, expected = write_packed(tmp_path / "t.gguf", "Q8_0", rows=300, blocks=100)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(GgufFile(tmp_path / "t.gguf").read("t"), expected)


def test_a_type_that_cannot_be_read_is_named(tmp_path):
    from gguf import GGMLQuantizationType, GGUFWriter

    writer = GGUFWriter(tmp_path / "t.gguf", "tiny")
    writer.add_tensor("t", np.arange(64, dtype=np.int32), raw_dtype=GGMLQuantizationType.I32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
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
