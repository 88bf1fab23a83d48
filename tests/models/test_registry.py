"""What lies at a path is known by its config or its metadata alone."""

from pathlib import Path

import pytest
from gguf import GGUFWriter

from potstill.errors import DamagedError, ModelMissing
from potstill.files import write_json, write_text
from potstill.models.registry import architecture_of


@pytest.mark.parametrize(
    ("model_type", "architecture"),
    [("gpt2", "decoder"), ("opt", "decoder"), ("t5", "encoder_decoder"), ("bert", "encoder")],
)
def test_a_folder_is_known_by_its_model_type(tmp_path: Path, model_type: str, architecture: str) -> None:
    write_json(tmp_path / "config.json", {"model_type": model_type})
    assert architecture_of(tmp_path) == architecture


def test_a_gguf_file_is_known_by_its_metadata(tmp_path: Path) -> None:
    for name in ("gptneox", "mamba"):
        writer = GGUFWriter(tmp_path / f"{name}.gguf", name)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
    assert architecture_of(tmp_path / "gptneox.gguf") == "decoder"
    with pytest.raises(DamagedError, match="general.architecture is 'mamba'; this version runs gemma2, "):
        architecture_of(tmp_path / "mamba.gguf")


def test_what_is_not_known_is_named_with_what_is(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"model_type": "mamba"})
    with pytest.raises(
        DamagedError, match=r"config\.json: model_type is 'mamba'; this version runs gemma2, "
    ):
        architecture_of(tmp_path)
    write_json(tmp_path / "config.json", {})
    with pytest.raises(DamagedError, match="model_type is missing"):
        architecture_of(tmp_path)


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"has no config\.json"):
        architecture_of(tmp_path)
    with pytest.raises(ModelMissing, match="There is no model at"):
        architecture_of(tmp_path / "gone")
    write_text(tmp_path / "config.json", "[]")
    with pytest.raises(DamagedError, match="holds no table"):
        architecture_of(tmp_path)
