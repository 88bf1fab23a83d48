"""A tokenizer from a model as it lies on the disk."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tokenizers
from platformdirs import user_cache_path
from tokenizers import processors

from potstill.errors import DamagedError, ModelMissing
from potstill.files import read_json
from potstill.gguf_header import read_header
from potstill.tokenization.bpe_files import backend_of, find_bpe_files
from potstill.tokenization.gguf_vocabulary import GgufVocabulary, cached_backend
from potstill.tokenization.tokenizer import Tokenizer

MAX_TOKENIZER_BYTES = 256 << 20
MAX_CONFIG_BYTES = 64 << 20
MAX_TEMPLATE_BYTES = 1 << 20
_MAX_IDS = 1 << 31


def load_tokenizer(path: Path) -> Tokenizer:
    """From a folder in Hugging Face layout (its tokenizer.json, or GPT-2's two files) or a .gguf file.

    Raises ModelMissing when there is nothing of the kind and DamagedError when it cannot be read.
    """
    return _from_folder(path) if path.is_dir() else _from_gguf(path)


def _from_gguf(path: Path) -> Tokenizer:
    vocabulary = GgufVocabulary.from_metadata(read_header(path).metadata, path)
    backend = cached_backend(vocabulary, user_cache_path("potstill") / "tokenizers")
    if vocabulary.adds_bos and vocabulary.bos_id is not None:
        bos = vocabulary.tokens[vocabulary.bos_id]
        try:
            backend.post_processor = processors.TemplateProcessing(
                single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, vocabulary.bos_id)]
            )
        except ValueError as error:
            raise DamagedError(f"{path}: {bos!r:.40} cannot stand before a text ({error}).") from None
    ids = {"unk_token": vocabulary.unknown_id, "pad_token": vocabulary.pad_id}
    config: dict[str, Any] = {
        name: vocabulary.tokens[token_id] for name, token_id in ids.items() if token_id is not None
    }
    if vocabulary.chat_template:
        config["chat_template"] = vocabulary.chat_template
    return Tokenizer(backend, bos_id=vocabulary.bos_id, eos_ids=vocabulary.eos_ids, config=config)


def _from_folder(folder: Path) -> Tokenizer:
    config = _table(folder / "tokenizer_config.json")
    backend = _backend(folder, config)
    template = folder / "chat_template.jinja"
    if template.is_file():
        config["chat_template"] = _text(template)
    bos_id = _bos_id(backend, config)
    return Tokenizer(backend, bos_id=bos_id, eos_ids=_eos_ids(folder, backend, config), config=config)


def _backend(folder: Path, config: Mapping[str, Any]) -> tokenizers.Tokenizer:
    path = folder / "tokenizer.json"
    if not path.is_file():
        files = find_bpe_files(folder, config, _table(folder / "config.json"))
        if files is not None:
            return backend_of(files, _texts_of(config, "bos_token", "eos_token", "unk_token", "pad_token"))
        raise ModelMissing(
            f"{folder} has no tokenizer.json. A model folder needs one; `tokenizer.model` alone is not read: "
            f"load it once with transformers and save it again."
        )
    if path.stat().st_size > MAX_TOKENIZER_BYTES:
        raise DamagedError(f"{path} is larger than {MAX_TOKENIZER_BYTES:,} bytes, which no tokenizer is.")
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise DamagedError(f"{path} is not a tokenizer ({error}). Fetch it again.") from None


def _bos_id(backend: tokenizers.Tokenizer, config: Mapping[str, Any]) -> int | None:
    """The token that stands before every text; families such as GPT-2 name one and never put it there.

    What `add_bos_token` says, else what the tokenizer's own last step does, else that there is a name.
    """
    bos_id = _token_id(backend, config, "bos_token")
    adds = config.get("add_bos_token")
    if not isinstance(adds, bool):
        adds = backend.post_processor is None or backend.encode("").ids[:1] == [bos_id]
    return bos_id if adds else None


def _eos_ids(folder: Path, backend: tokenizers.Tokenizer, config: Mapping[str, Any]) -> tuple[int, ...]:
    """Each end the folder names once, the tokenizer's own before those that generation stops at."""
    ids = []
    if (own := _token_id(backend, config, "eos_token")) is not None:
        ids.append(own)
    for name in ("generation_config.json", "config.json"):
        ids.extend(_ids(_table(folder / name).get("eos_token_id")))
    return tuple(dict.fromkeys(ids))


def _ids(value: Any) -> Iterator[int]:
    for token_id in value if isinstance(value, list) else [value]:
        if type(token_id) is int and 0 <= token_id < _MAX_IDS:
            yield token_id


def _token_id(backend: tokenizers.Tokenizer, config: Mapping[str, Any], name: str) -> int | None:
    texts = _texts_of(config, name)
    return backend.token_to_id(texts[0]) if texts else None


def _texts_of(config: Mapping[str, Any], *names: str) -> list[str]:
    """The special tokens of these names that the configuration has."""
    tokens = (config.get(name) for name in names)
    texts = (token.get("content") if isinstance(token, dict) else token for token in tokens)
    return [text for text in texts if isinstance(text, str)]


def _text(path: Path) -> str:
    _check_size(path, MAX_TEMPLATE_BYTES)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DamagedError(f"{path} is no UTF-8 text ({error}). Fetch it again.") from None


def _table(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    _check_size(path, MAX_CONFIG_BYTES)
    table = read_json(path)
    if not isinstance(table, dict):
        raise DamagedError(f"{path} is not a JSON object. Fetch it again.")
    return table


def _check_size(path: Path, most_bytes: int) -> None:
    if path.stat().st_size > most_bytes:
        raise DamagedError(f"{path} is larger than {most_bytes:,} bytes, which none is. Fetch it again.")
