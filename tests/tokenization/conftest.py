"""Vocabularies for the tests: tiny ones written as GGUF files, and the embedded Gemma's."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from potstill.errors import ModelMissing
from potstill.hub.resolve import resolve
from potstill.progress import Silent
from potstill.tokenization.gguf_vocabulary import TokenKind
from potstill.tokenization.load import load_tokenizer
from potstill.tokenization.tokenizer import Tokenizer

# pytest imports tests by path: the lines and their golden hashes beside them need a place to be found.
sys.path.append(str(Path(__file__).parent))

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
WriteVocabulary = Callable[..., Path]


@pytest.fixture
def write_vocabulary(tmp_path: Path) -> WriteVocabulary:
    """Write a SentencePiece vocabulary with scores: control tokens, bytes, then (text, score) in order."""
    from gguf import GGUFWriter

    def write(pieces: Sequence[tuple[str, float]], user_defined: Sequence[str] = (), **settings: Any) -> Path:
        path = tmp_path / "vocabulary.gguf"
        control = ["<pad>", "<eos>", settings.get("bos", "<bos>"), "<unk>"]
        texts = [*control, *BYTES, *user_defined, *(text for text, _ in pieces)]
        kinds = (
            [TokenKind.CONTROL] * 4 + [TokenKind.BYTE] * 256 + [TokenKind.USER_DEFINED] * len(user_defined)
        )
        writer = GGUFWriter(path, "gemma3")
        writer.add_tokenizer_model("llama")
        writer.add_token_list(texts)
        writer.add_token_types([int(kind) for kind in kinds] + [int(TokenKind.NORMAL)] * len(pieces))
        writer.add_token_scores([-1000.0] * (len(texts) - len(pieces)) + [score for _, score in pieces])
        writer.add_bos_token_id(2)
        writer.add_eos_token_id(1)
        writer.add_unk_token_id(3)
        writer.add_pad_token_id(0)
        writer.add_add_space_prefix(settings.get("adds_space", False))
        if "chat_template" in settings:
            writer.add_chat_template(settings["chat_template"])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        return path

    return write


@pytest.fixture(autouse=True)
def own_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, request: Any
) -> None:
    """Tiny vocabularies stay out of the user's cache."""
    if "weights" not in request.keywords:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def gemma_path() -> Path:
    try:
        return resolve("gemma-3-270m", progress=Silent()).path
    except ModelMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def gemma(gemma_path: Path) -> Tokenizer:
    return load_tokenizer(gemma_path)
