"""Encoding, decoding, bytes of tokens, and copies that other libraries load."""

from importlib.util import find_spec

import pytest
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from potstill.errors import UsageError
from potstill.files import write_json
from potstill.tokenization.load import load_tokenizer
from potstill.tokenization.pre_tokenizers import byte_level_cuts
from potstill.tokenization.tokenizer import Tokenizer

needs_transformers = pytest.mark.skipif(
    find_spec("transformers") is None, reason="transformers is in the dependency group `oracles`"
)
PIECES = [("▁", 0.0), ("th", -1.0), ("the", -2.0), ("▁the", -3.0)] + [
    (letter, -10.0 - place) for place, letter in enumerate("theaslp.")
]
TEXTS = ["the last the", "  the\n\nplate.", "é 日本 the", "", "thethe the", "<eos>the"]


def byte_level() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: token_id for token_id, letter in enumerate([*alphabet, "Ġt", "he", "Ġthe"])}
    backend = Backend(models.BPE(vocabulary, [("Ġ", "t"), ("h", "e"), ("Ġt", "he")]))
    # transformers puts Qwen's way to cut words into every tokenizer of a Qwen model.
    backend.normalizer, backend.pre_tokenizer, _ = byte_level_cuts("qwen2")
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken("<eos>", special=True, normalized=False)])
    backend.add_tokens([AddedToken("<tool> é", normalized=False)])
    return Tokenizer(backend, bos_id=None, eos_ids=[vocabulary["Ġthe"] + 1])


def test_every_text_comes_back_from_its_ids(write_vocabulary):
    for tokenizer in (load_tokenizer(write_vocabulary(PIECES)), byte_level()):
        assert [tokenizer.decode(tokenizer.encode(text)) for text in TEXTS] == TEXTS


def test_a_batch_gets_the_ids_that_each_text_gets_alone(write_vocabulary):
    tokenizer = load_tokenizer(write_vocabulary(PIECES))
    assert tokenizer.encode_batch(TEXTS) == [tokenizer.encode(text) for text in TEXTS]


def test_the_bytes_of_all_tokens_make_the_text(write_vocabulary):
    for tokenizer in (load_tokenizer(write_vocabulary(PIECES)), byte_level()):
        for text in TEXTS:
            assert b"".join(map(tokenizer.token_bytes, tokenizer.encode(text))) == text.encode()


def test_special_tokens_stand_for_no_bytes(write_vocabulary):
    for tokenizer in (load_tokenizer(write_vocabulary(PIECES)), byte_level()):
        (eos,) = tokenizer.eos_ids
        assert tokenizer.token_bytes(eos) == b""
        assert tokenizer.decode([eos, *tokenizer.encode("the"), eos]) == "the"


def test_an_id_beyond_the_vocabulary_stands_for_no_bytes():
    tokenizer = byte_level()
    assert tokenizer.token_bytes(tokenizer.vocab_size + 5) == b""


def test_half_a_character_is_shown_as_damaged(write_vocabulary):
    tokenizer = load_tokenizer(write_vocabulary(PIECES))
    assert tokenizer.decode(tokenizer.encode("é")[:1]) == "\ufffd"


def test_half_a_surrogate_pair_is_refused_by_name(write_vocabulary):
    with pytest.raises(UsageError, match="Text 1 holds .*ud83d"):
        load_tokenizer(write_vocabulary(PIECES)).encode_batch(["the", "a\ud83d"])


def test_a_saved_copy_is_the_same_tokenizer(write_vocabulary, tmp_path):
    for name, tokenizer in (("pieces", load_tokenizer(write_vocabulary(PIECES))), ("bytes", byte_level())):
        tokenizer.save(tmp_path / name)
        copy = load_tokenizer(tmp_path / name)
        assert copy.fingerprint == tokenizer.fingerprint
        assert (copy.bos_id, copy.eos_ids, copy.vocab_size) == (
            tokenizer.bos_id,
            tokenizer.eos_ids,
            tokenizer.vocab_size,
        )
        assert copy.encode_batch(TEXTS) == tokenizer.encode_batch(TEXTS)
        copy.save(tmp_path / "again")
        for file in ("tokenizer.json", "tokenizer_config.json"):
            assert (tmp_path / "again" / file).read_bytes() == (tmp_path / name / file).read_bytes()


def test_fingerprints_differ_where_ids_can(write_vocabulary):
    plain = load_tokenizer(write_vocabulary(PIECES)).fingerprint
    assert load_tokenizer(write_vocabulary(PIECES, user_defined=["st"])).fingerprint != plain
    assert load_tokenizer(write_vocabulary(PIECES[:-1])).fingerprint != plain


@needs_transformers
@pytest.mark.parametrize("model_type", [None, "gemma3_text", "llama"])
def test_transformers_loads_a_saved_copy_with_equal_ids(write_vocabulary, tmp_path, model_type):
    tokenizer = load_tokenizer(write_vocabulary(PIECES, user_defined=["\n\n"]))
    tokenizer.save(tmp_path / "saved")
    if model_type:
        write_json(tmp_path / "saved" / "config.json", {"model_type": model_type})
    assert_transformers_agrees(tokenizer, tmp_path / "saved", TEXTS[:-1])


@needs_transformers
@pytest.mark.parametrize("model_type", [None, "llama", "qwen2", "qwen3"])
def test_transformers_loads_a_saved_byte_level_copy_with_equal_ids(tmp_path, model_type):
    tokenizer = byte_level()
    tokenizer.save(tmp_path)
    if model_type:
        write_json(tmp_path / "config.json", {"model_type": model_type})
    assert_transformers_agrees(tokenizer, tmp_path, TEXTS[:-1])


@needs_transformers
@pytest.mark.weights
def test_transformers_loads_the_saved_gemma_with_equal_ids(gemma, tmp_path):
    from many_scripts import lines

    gemma.save(tmp_path)
    write_json(tmp_path / "config.json", {"model_type": "gemma3_text"})
    assert_transformers_agrees(gemma, tmp_path, lines()[:1000])


def assert_transformers_agrees(tokenizer: Tokenizer, folder, texts: list[str]) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(folder, split_special_tokens=True)
    assert theirs(texts, add_special_tokens=False)["input_ids"] == tokenizer.encode_batch(texts)
    start = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    assert theirs(texts[0])["input_ids"] == start + tokenizer.encode(texts[0])
    assert theirs.bos_token_id == tokenizer.bos_id
    assert (theirs.eos_token_id,) == tokenizer.eos_ids


def test_a_tokenizer_that_puts_no_space_is_told_without_its_vocabulary(write_vocabulary, monkeypatch):
    """Of a quarter of a million tokens that would take most of a second of each question to an index."""
    plain = load_tokenizer(write_vocabulary([("a", -1.0)]))
    monkeypatch.setattr(Tokenizer, "definition", lambda _: pytest.fail("the whole definition was read"))
    assert plain.without_prefix() is plain
