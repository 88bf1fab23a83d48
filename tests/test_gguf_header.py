"""Headers of GGUF files: what was written is read, and a hostile file is refused before it costs anything."""

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.errors import DamagedError, ModelMissing
from potstill.gguf_header import MAX_TENSORS, TensorEntry, read_header

F32, Q4_0 = 0, 2
U8, U32, F32_VALUE, BOOL, STRING, ARRAY = 0, 4, 6, 7, 8, 9


def text(content: bytes | str, length: int | None = None) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return struct.pack("<Q", len(content) if length is None else length) + content


def key(name: str, type_id: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", type_id) + value


def tensor(name: str, dimensions: tuple[int, ...], type_id: int = F32, offset: int = 0) -> bytes:
    sizes = struct.pack(f"<{len(dimensions)}Q", *dimensions)
    return text(name) + struct.pack("<I", len(dimensions)) + sizes + struct.pack("<IQ", type_id, offset)


def gguf(
    keys: tuple[bytes, ...] = (),
    tensors: tuple[bytes, ...] = (),
    content_bytes: int = 0,
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    num_tensors: int | None = None,
    num_keys: int | None = None,
) -> bytes:
    counts = (
        len(tensors) if num_tensors is None else num_tensors,
        len(keys) if num_keys is None else num_keys,
    )
    header = magic + struct.pack("<IQQ", version, *counts) + b"".join(keys) + b"".join(tensors)
    return header + bytes(-len(header) % 32 + content_bytes)


WHOLE = gguf(
    (
        key("general.architecture", STRING, text("tiny")),
        key("size", U32, struct.pack("<I", 7)),
        key("names", ARRAY, struct.pack("<IQ", STRING, 2) + text("a") + text("é")),
        key("scores", ARRAY, struct.pack("<IQ2f", F32_VALUE, 2, 0.5, -1.0)),
        key("yes", BOOL, b"\x01"),
    ),
    (tensor("one", (4, 2)), tensor("two", (32, 3), Q4_0, 32)),
    32 + 3 * 18,
)


@pytest.fixture
def read(tmp_path):
    def read_bytes(content: bytes, **named: bool):
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return read_header(path, **named)

    return read_bytes


def test_metadata_and_places_of_tensors_are_read(read):
    header = read(WHOLE)
    start = len(WHOLE) - 32 - 3 * 18
    assert header.metadata == {
        "general.architecture": "tiny",
        "size": 7,
        "names": ["a", "é"],
        "scores": [0.5, -1.0],
        "yes": True,
    }
    assert header.tensors == {
        "one": TensorEntry((2, 4), F32, start, 32),
        "two": TensorEntry((3, 32), Q4_0, start + 32, 3 * 18),
    }


def test_what_the_gguf_library_writes_is_read_as_the_library_reads_it(tmp_path):
    from gguf import GGUFReader, GGUFWriter

    path = tmp_path / "written.gguf"
    writer = GGUFWriter(path, "tiny")
    writer.add_uint64("big", 2**63 + 1)
    writer.add_int8("small", -3)
    writer.add_array("list", [3, -4, 5])
    writer.add_custom_alignment(64)
    for number in range(3):
        writer.add_tensor(f"t{number}", np.arange(5 + number, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header, theirs = read_header(path), GGUFReader(path)
    for name, field in theirs.fields.items():
        if not name.startswith("GGUF."):
            assert header.metadata[name] == field.contents()
    places = {entry.name: (entry.data_offset, entry.n_bytes) for entry in theirs.tensors}
    assert {name: (entry.offset, entry.num_bytes) for name, entry in header.tensors.items()} == places


WITH_VOCABULARY = gguf(
    (
        key("tokenizer.ggml.tokens", ARRAY, struct.pack("<IQ", STRING, 2) + text("a") + text("é")),
        key("tokenizer.ggml.scores", ARRAY, struct.pack("<IQ2f", F32_VALUE, 2, 0.5, -1.0)),
        key("tokenizer.ggml.bos_token_id", U32, struct.pack("<I", 1)),
        key("windows", ARRAY, struct.pack("<IQ2f", F32_VALUE, 2, 0.5, -1.0)),
    ),
    (tensor("one", (4, 2)),),
    32,
)


def test_a_vocabulary_may_be_passed_over(read):
    whole, rest = read(WITH_VOCABULARY), read(WITH_VOCABULARY, vocabulary=False)
    assert rest.metadata == {"tokenizer.ggml.bos_token_id": 1, "windows": [0.5, -1.0]}
    assert whole.tensors == rest.tensors and len(whole.metadata) == 4
    for length in range(len(WITH_VOCABULARY)):
        with pytest.raises(DamagedError, match=r"model\.gguf"):
            read(WITH_VOCABULARY[:length], vocabulary=False)


def test_a_text_of_a_vocabulary_that_claims_too_much_is_damaged_even_if_passed_over(read):
    for length in (2**63, 2**40, len(WITH_VOCABULARY)):
        tokens = struct.pack("<IQ", STRING, 2) + text("a") + text("é", length)
        with pytest.raises(DamagedError, match=r"run past byte"):
            read(gguf((key("tokenizer.ggml.tokens", ARRAY, tokens),)), vocabulary=False)


def test_a_file_cut_short_anywhere_is_damaged(read):
    for length in range(len(WHOLE)):
        with pytest.raises(DamagedError, match=r"model\.gguf"):
            read(WHOLE[:length])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255))
def test_any_byte_changed_is_read_or_refused_but_never_a_crash(read, place, value):
    content = bytearray(WHOLE)
    content[place] = value
    try:
        header = read(bytes(content))
    except DamagedError:
        return
    assert all(entry.offset + entry.num_bytes <= len(content) for entry in header.tensors.values())


HUGE = 2**62
HOSTILE = {
    "wrong magic": gguf(magic=b"GGML"),
    "version 1": gguf(version=1),
    "version of the future": gguf(version=4),
    "other byte order": gguf(version=3 << 24),
    "huge number of keys": gguf(num_keys=HUGE),
    "huge number of tensors": gguf(num_tensors=HUGE),
    "too many tensors": gguf(num_tensors=MAX_TENSORS + 1, content_bytes=30 * MAX_TENSORS),
    "huge name": gguf((text(b"abc", HUGE),), num_keys=1),
    "name that wraps around": gguf((text(b"abc", 2**64 - 8),), num_keys=1),
    "huge text": gguf((key("k", STRING, text(b"abc", HUGE)),)),
    "huge array of numbers": gguf((key("k", ARRAY, struct.pack("<IQ", U8, HUGE)),)),
    "huge array of texts": gguf((key("k", ARRAY, struct.pack("<IQ", STRING, HUGE)),)),
    "array of texts past the end": gguf((key("k", ARRAY, struct.pack("<IQ", STRING, 2) + text("a")),)),
    "text in an array past the end": gguf(
        (key("k", ARRAY, struct.pack("<IQ", STRING, 1) + text("a", HUGE)),)
    ),
    "array of arrays": gguf((key("k", ARRAY, struct.pack("<IQIQ", ARRAY, 1, U8, 0)),)),
    "unknown type of value": gguf((key("k", 13, bytes(8)),)),
    "text that is no UTF-8": gguf((key("k", STRING, text(b"\xff\xfe")),)),
    "truth that is neither": gguf((key("k", BOOL, b"\x02"),)),
    "a key twice": gguf((key("k", BOOL, b"\x01"),) * 2),
    "alignment zero": gguf((key("general.alignment", U32, bytes(4)),)),
    "alignment of three": gguf((key("general.alignment", U32, struct.pack("<I", 3)),)),
    "alignment that is text": gguf((key("general.alignment", STRING, text("32")),)),
    "alignment of 2^31": gguf((key("general.alignment", U32, struct.pack("<I", 1 << 31)),)),
    "no dimensions": gguf((), (tensor("t", ()),), 64),
    "nine dimensions": gguf((), (tensor("t", (1,) * 9),), 64),
    "an empty tensor": gguf((), (tensor("t", (0, 4)),), 64),
    "a product that wraps around": gguf((), (tensor("t", (2**32, 2**32)),), 64),
    "a huge dimension": gguf((), (tensor("t", (HUGE,)),), 64),
    "a broken block": gguf((), (tensor("t", (33,), Q4_0),), 64),
    "unknown type of tensor": gguf((), (tensor("t", (4,), 255),), 64),
    "a type that was removed": gguf((), (tensor("t", (32,), 4),), 64),
    "past the end": gguf((), (tensor("t", (17,)),), 64),
    "offset past the end": gguf((), (tensor("t", (4,), offset=64),), 64),
    "offset that wraps around": gguf((), (tensor("t", (4,), offset=2**64 - 32),), 64),
    "offset out of line": gguf((), (tensor("t", (4,), offset=4),), 64),
    "overlapping tensors": gguf((), (tensor("t", (9,)), tensor("u", (4,), offset=32)), 64),
    "the same place twice": gguf((), (tensor("t", (4,)), tensor("u", (4,))), 64),
    "a tensor twice": gguf((), (tensor("t", (4,)), tensor("t", (4,), offset=32)), 64),
    "nothing": b"",
    "text": b"not a model at all, but long enough to be one",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_header_is_refused_and_nothing_large_is_made(read, content):
    # What the library brings with it is not the file's doing.
    read(WHOLE)
    tracemalloc.start()
    try:
        with pytest.raises(DamagedError, match=r"model\.gguf"):
            read(content)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(content) + 1_000_000
    finally:
        tracemalloc.stop()


def test_a_missing_file_is_a_missing_model(tmp_path):
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(ModelMissing):
            read_header(path)
