"""GPT-2's vocabulary as OpenAI published it: ids of tokens in one file, merges in another, no tokenizer.json.

What cuts a text into words stands in neither, so only folders that say they hold GPT-2's way are read.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors

from potstill.errors import DamagedError
from potstill.files import read_json

# The hub's names, and OpenAI's.
_FILES = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))
_CLASSES = ("GPT2Tokenizer", "GPT2TokenizerFast")
_FAMILIES = ("gpt2", "gptj")
_MAX_BYTES = 64 << 20
_MAX_TOKENS = 1 << 22
_END_OF_TEXT = "<|endoftext|>"


class BpeFiles(NamedTuple):
    vocabulary: Path
    merges: Path


def find_bpe_files(folder: Path, config: Mapping[str, Any], model: Mapping[str, Any]) -> BpeFiles | None:
    """The two files in a folder of GPT-2's way.

    config: its tokenizer_config.json; model: its config.json.
    """
    named = config.get("tokenizer_class")
    if named not in _CLASSES and (named is not None or model.get("model_type") not in _FAMILIES):
        return None
    for names in _FILES:
        paths = BpeFiles(*(folder / name for name in names))
        if all(path.is_file() for path in paths):
            return paths
    return None


def backend_of(files: BpeFiles, special: Iterable[str]) -> tokenizers.Tokenizer:
    """`special` are tokens that no text can spell; DamagedError for files that are no vocabulary."""
    for path in files:
        if path.stat().st_size > _MAX_BYTES:
            raise DamagedError(f"{path} is larger than {_MAX_BYTES:,} bytes, which no vocabulary is.")
    vocabulary, merges = _read_vocabulary(files.vocabulary), _read_merges(files.merges)
    try:
        backend = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
    except Exception as error:  # the library raises nothing narrower
        raise DamagedError(
            f"{files.merges} does not fit {files.vocabulary.name} ({error}). Fetch both again."
        ) from None
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    apart = dict.fromkeys(text for text in (_END_OF_TEXT, *special) if text in vocabulary)
    backend.add_special_tokens([AddedToken(text, normalized=False) for text in apart])
    return backend


def _read_vocabulary(path: Path) -> dict[str, int]:
    table = read_json(path)
    ids = list(table.values()) if isinstance(table, dict) else []
    if not ids or any(type(token_id) is not int or not 0 <= token_id < _MAX_TOKENS for token_id in ids):
        raise DamagedError(f"{path} is no table of tokens and their ids. Fetch it again.")
    if len(set(ids)) < len(ids):
        raise DamagedError(f"{path} gives one id to two tokens. Fetch it again.")
    vocabulary: dict[str, int] = table
    return vocabulary


def _read_merges(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DamagedError(f"{path} is no UTF-8 text ({error}). Fetch it again.") from None
    pairs = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    wrong = next((pair for pair in pairs if len(pair) != 2), None)
    if wrong is not None:
        raise DamagedError(f"{path}: {' '.join(wrong)!r:.60} is no pair of tokens. Fetch it again.")
    return [(left, right) for left, right in pairs]
