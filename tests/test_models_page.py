"""The limits that docs/models.md names are those of the readers."""

from pathlib import Path

from potstill import gguf_header
from potstill.models import safetensors_file

PAGE = Path(__file__).parents[1] / "docs" / "models.md"


def test_the_page_names_the_limits_of_the_readers():
    rows = [
        f"| header | {gguf_header.MAX_HEADER_BYTES >> 20} MiB "
        f"| {safetensors_file.MAX_HEADER_BYTES // 10**6} MB |",
        f"| tensors | {gguf_header.MAX_TENSORS:,} | {safetensors_file.MAX_TENSORS:,} a file |",
        f"| dimensions | {gguf_header.MAX_DIMENSIONS} | {safetensors_file.MAX_DIMENSIONS} |",
        f"| metadata | {gguf_header.MAX_METADATA_KEYS:,} keys, "
        f"{gguf_header.MAX_ARRAY_ELEMENTS:,} array elements | - |",
    ]
    assert [row for row in rows if row not in PAGE.read_text()] == []
