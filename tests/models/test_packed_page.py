"""docs/formats/packed.md against a real file, read by what the page tells alone."""

import json
import re
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from torch import nn

from engine.tiny_decoder import tiny_decoder
from lm.random_t5 import random_t5
from pages import Page
from potstill import _native
from potstill.models.compile_cache import file_name, kept_or_packed, weights_key
from potstill.models.encoder import Encoder
from potstill.models.encoder_config import EncoderConfig
from potstill.models.kept_weights import FORMAT
from potstill.models.native_decoder import NativeRunner
from potstill.models.native_encoder import NativeEncoderRunner
from potstill.models.native_t5 import NativeT5Runner
from potstill.models.program_weights import Packing, ProgramWeights, WeightKind
from source_tree import ROOT

PAGE = Page(ROOT / "docs" / "formats" / "packed.md")
KINDS: tuple[WeightKind, ...] = ("fp32", "bf16", "int8")
# Rows and columns, neither a multiple of a panel or a group; then both.
SHAPES = ((70, 131), (32, 64))


def weight(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows))


def written(folder: Path, kind: WeightKind = "int8") -> tuple[Path, Path]:
    """The kept file and the model it belongs to."""

    def build(weights: ProgramWeights) -> None:
        weights.vector(torch.arange(3.0), plus=1)
        for shape in SHAPES:
            weights.matrix([weight(*shape)], kind)
        weights.vector(torch.ones(2, 3))

    model = folder / "a model ü.gguf"
    model.write_bytes(b"weights")
    kept_or_packed(folder / "cache", model, kind, build)
    (file,) = (folder / "cache").glob("*.packed")
    return file, model


def header_of(content: bytes) -> tuple[dict, bytes]:
    size = int.from_bytes(content[:8], "little")
    assert (8 + size) % 64 == 0
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def bf16(content: bytes) -> np.ndarray:
    return (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)


def unpacked(content: bytes, rows: int, columns: int, kind: WeightKind) -> np.ndarray:
    """By the page, number after number."""
    P, C, G = -(-rows // 32), columns, -(-columns // 64)
    if kind == "fp32":
        panels = np.frombuffer(content, "<f4").reshape(P, C, 32).transpose(0, 2, 1)
    elif kind == "bf16":
        panels = bf16(content).reshape(P, -(-C // 2), 32, 2).transpose(0, 2, 1, 3).reshape(P, 32, -1)
    else:
        groups = np.frombuffer(content, np.uint8).reshape(P, G, 2112)
        scales = bf16(groups[..., :64].tobytes()).reshape(P, G, 32)
        steps = groups[..., 64:].reshape(P, G, 16, 32, 4).astype(np.float32) - 128
        panels = (scales[:, :, None, :, None] * steps).transpose(0, 3, 1, 2, 4).reshape(P, 32, -1)
    assert not panels[..., columns:].any() and not panels.reshape(P * 32, -1)[rows:].any()
    return panels.reshape(P * 32, -1)[:rows, :columns]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_what_the_page_says(kind: WeightKind, tmp_path: Path) -> None:
    file, model = written(tmp_path, kind)
    table, content = header_of(file.read_bytes())
    about = table.pop("__metadata__")
    names = [f"1.70x131.{kind}", f"2.32x64.{kind}", "0.vector", "3.vector"]
    assert list(table) == names
    parts = [content[slice(*table[name]["data_offsets"])] for name in names]
    assert b"".join(parts) == content
    for (rows, columns), part in zip(SHAPES, parts, strict=False):
        seen = [_native.PackedMatrix(weight(rows, columns), kind).row(row) for row in range(rows)]
        np.testing.assert_array_equal(unpacked(part, rows, columns, kind), seen)
    assert np.frombuffer(parts[2], "<f4").tolist() == [1, 2, 3] and table["3.vector"]["shape"] == [2, 3]
    sums = [f"{_native.crc32c(np.frombuffer(part, np.uint8)):08x}" for part in parts]
    assert about == {"format": FORMAT, "key": weights_key(model, kind), "crc32c": " ".join(sums)}


def test_the_page_tells_the_names_the_keys_and_the_sizes(tmp_path: Path) -> None:
    file, model = written(tmp_path)
    assert file.name == file_name(model, "int8", weights_key(model, "int8"))
    assert re.fullmatch(r"a-model-\.int8\.[0-9a-f]{16}\.packed", file.name)
    assert {path.name for path in file.parent.iterdir()} == {file.name, ".lock"}
    table, _ = header_of(file.read_bytes())
    assert f"`{FORMAT}`" in PAGE.text
    assert {row[0].strip("`") for row in PAGE.rows(2)} == set(table["__metadata__"])
    told = {row[0].strip("`"): row[1].strip("`") for row in PAGE.rows(3)}
    assert set(told) == set(KINDS)
    for kind in KINDS:
        for rows, columns in SHAPES:
            names = {"P": -(-rows // 32), "C": columns, "G": -(-columns // 64)}
            formula = told[kind].replace("ceil(C / 2)", str(-(-columns // 2)))
            factors = [names.get(word) or int(word) for word in formula.split(" * ")]
            assert np.prod(factors) == _native.PackedMatrix(weight(rows, columns), kind).bytes


def test_packing_is_still_that_of_the_formats_number() -> None:
    """Whoever changes these bytes raises the number in `FORMAT`, or older files would be believed."""
    numbers = ((torch.arange(70 * 131) * 7919 % 1009 - 504) / 256).reshape(70, 131)
    sums = {kind: _native.crc32c(_native.PackedMatrix(numbers, kind).content()) for kind in KINDS}
    assert FORMAT == "potstill.packed/1"
    assert sums == {"fp32": 107964698, "bf16": 1444471394, "int8": 2537601842}


def numbered(model: nn.Module) -> nn.Module:
    """Parameters that follow from their names alone."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            numbers = (torch.arange(parameter.numel()) * 7919 + crc32(name.encode())) % 1009 - 504
            parameter.copy_(numbers.reshape(parameter.shape) / 256)
    return model


ENCODER = EncoderConfig(
    model_type="bert",
    vocab_size=31,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=16,
    type_vocab_size=2,
    activation="gelu",
    layer_norm_eps=1e-6,
)


def test_what_builders_put_together_is_still_that_of_the_formats_number() -> None:
    """Queries and keys in another order would have the same names and sizes."""
    models = {
        "decoder": (NativeRunner, tiny_decoder()),
        "t5": (NativeT5Runner, random_t5()),
        "encoder": (NativeEncoderRunner, Encoder(ENCODER)),
    }
    sums = {}
    for name, (runner, model) in models.items():
        packing = Packing()
        runner.of(numbered(model), "int8", packing)
        sums[name] = 0
        for part in packing.parts:
            sums[name] = crc32(part.name.encode() + part.content.tobytes(), sums[name])
    assert FORMAT == "potstill.packed/1"
    assert sums == {"decoder": 2797828093, "t5": 858252354, "encoder": 3035624203}
