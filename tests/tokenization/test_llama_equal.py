"""The embedded Gemma's ids are llama.cpp's on ten thousand lines of many scripts.

Where llama-cpp-python is installed it is asked; else its answers are those of golden_gemma_ids.txt.
"""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import tokenizers

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def made_lines() -> list[str]:
    from many_scripts import lines

    return lines()


@pytest.fixture(scope="module")
def golden(made_lines) -> list[str]:
    from llama_ids import GOLDEN, hash_of_lines

    of_lines, *hashes = GOLDEN.read_text().split("\n")[:-1]
    assert of_lines == hash_of_lines(made_lines), "the lines changed: run llama_ids.py again"
    return hashes


def differing(lines: list[str], hash_of: Callable[[str], str], expected: list[str]) -> list[str]:
    return [
        json.dumps(line) for line, wanted in zip(lines, expected, strict=True) if hash_of(line) != wanted
    ][:5]


def test_ten_thousand_lines_get_the_ids_that_llama_cpp_gives(gemma, made_lines, golden):
    from llama_ids import hash_of_ids

    plain = [entry.split()[0] for entry in golden]
    assert len(plain) == 10_000
    assert not differing(made_lines, lambda line: hash_of_ids(gemma.encode(line)), plain)


def test_with_special_tokens_read_the_ids_are_those_of_llama_cpp_too(gemma, made_lines, golden, tmp_path):
    from llama_ids import hash_of_ids

    gemma.save(tmp_path)
    reads_special = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    special = [entry.split()[-1] for entry in golden]

    def hash_of(line: str) -> str:
        return hash_of_ids(reads_special.encode(line, add_special_tokens=False).ids)

    assert sum(" " in entry for entry in golden) > 300
    assert not differing(made_lines, hash_of, special)


def test_every_line_comes_back_from_its_ids(gemma, made_lines):
    texts = [gemma.decode(ids) for ids in gemma.encode_batch(made_lines)]
    assert texts == [line.replace("▁", " ") for line in made_lines]


@pytest.mark.skipif(
    find_spec("llama_cpp") is None, reason="llama-cpp-python is in the dependency group `oracles`"
)
def test_the_golden_hashes_are_what_llama_cpp_gives(gemma_path: Path, made_lines, golden):
    from llama_ids import entry_for, llama_vocabulary

    llama = llama_vocabulary(gemma_path)
    assert [entry_for(llama, line) for line in made_lines] == golden
