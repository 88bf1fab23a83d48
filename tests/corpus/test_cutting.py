"""Long documents in parts: the tokens and offsets of the whole, for every tokenizer that is cut."""

import numpy as np
import pytest
from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from corpus.vocabularies import NAMES, TEXT, vocabulary
from potstill.corpus import reading
from potstill.corpus.build import build_store
from potstill.corpus.cutting import can_cut, cut_for, last_border
from potstill.corpus.store import Store
from potstill.corpus.vocabulary import TokenizerVocabulary
from potstill.tokenization.tokenizer import Tokenizer

LONG = "".join(f"{TEXT[place:]} the dog's {place} tail  the\r\nend " for place in range(60)).encode()


def stored(tmp_path, content, vocabulary, name):
    (tmp_path / "long.txt").write_bytes(content)
    (tmp_path / name).mkdir()
    build_store([tmp_path / "long.txt"], tmp_path / name, vocabulary, workers=1)
    return Store(tmp_path / name, vocabulary=vocabulary)


@pytest.mark.parametrize("content", [LONG, LONG + b"\xff broken", b"\xef\xbb\xbf" + LONG])
@pytest.mark.parametrize("name", NAMES)
def test_parts_get_the_tokens_and_places_of_the_whole(tmp_path, monkeypatch, name, content):
    whole = stored(tmp_path, content, vocabulary(name), "whole")
    monkeypatch.setattr(reading, "PIECE_BYTES", 700)
    parts = stored(tmp_path, content, vocabulary(name), "parts")
    assert parts.tokens(0).tolist() == whole.tokens(0).tolist()
    assert parts.num_documents == 1
    chance = np.random.default_rng(1)
    for first in chance.integers(0, whole.num_tokens - 9, 60).tolist():
        one, other = parts.locate(0, first, 9), whole.locate(0, first, 9)
        assert (one.byte_start, one.byte_stop) == (other.byte_start, other.byte_stop)


@pytest.mark.parametrize(("name", "cuts"), [("byte-level", True), ("metaspace", True), ("lossy", False)])
def test_only_a_tokenizer_that_is_understood_is_cut(name, cuts):
    assert can_cut(vocabulary(name).tokenizer.definition()) == cuts
    assert (cut_for(vocabulary(name))(LONG) is not None) == cuts


def test_a_token_that_reaches_over_a_border_forbids_cuts():
    backend = Backend.from_str(vocabulary("byte-level").tokenizer._backend.to_str())
    backend.add_tokens([AddedToken("New York", normalized=False)])
    assert not can_cut(
        TokenizerVocabulary(Tokenizer(backend, bos_id=None, eos_ids=[])).tokenizer.definition()
    )


def test_the_last_border_is_found_however_far_back():
    assert last_border(b"a b" + b"\n" * 300_000) == 1
    assert last_border(b"no-border\n" * 9) is None
    assert last_border(b"a b c d\xff e") == 5


def test_a_document_without_borders_is_kept_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "PIECE_BYTES", 64)
    content = ("日本語" * 500).encode()
    store = stored(tmp_path, content, vocabulary("byte-level"), "store")
    assert store.vocabulary.bytes_of(store.tokens(0)) == content


@pytest.mark.weights
def test_gemma_is_cut(tmp_path, monkeypatch):
    from potstill.errors import ModelMissing
    from potstill.hub.resolve import resolve
    from potstill.progress import Silent
    from potstill.tokenization.load import load_tokenizer

    try:
        tokenizer = load_tokenizer(resolve("gemma-3-270m", progress=Silent()).path)
    except ModelMissing as error:
        pytest.skip(str(error))
    gemma = TokenizerVocabulary(tokenizer)
    whole = stored(tmp_path, LONG, gemma, "whole")
    assert whole.facts.symbol_bytes == 3
    monkeypatch.setattr(reading, "PIECE_BYTES", 900)
    parts = stored(tmp_path, LONG, gemma, "parts")
    assert parts.tokens(0).tolist() == whole.tokens(0).tolist()
    assert last_border(LONG) and cut_for(gemma)(LONG)
    for token in range(0, whole.num_tokens, 7):
        assert parts.locate(0, token, 1) == whole.locate(0, token, 1)
        found = whole.locate(0, token, 1)
        assert LONG[found.byte_start : found.byte_stop] == gemma.bytes_of(whole.tokens(0, token, token + 1))
