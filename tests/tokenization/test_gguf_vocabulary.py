"""Vocabularies from GGUF files: what they cut, how they are kept, and what is refused."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.errors import DamagedError
from potstill.gguf_header import read_header
from potstill.tokenization.gguf_vocabulary import GgufVocabulary, build_backend, cached_backend
from potstill.tokenization.load import load_tokenizer

PIECES = [("he", -1.0), ("ll", -2.0), ("hell", -3.0), ("hello", -4.0), ("▁", 0.0)] + [
    (letter, -10.0 - place) for place, letter in enumerate("helowrd")
]


def pieces_of(tokenizer, text):
    return [tokenizer.token_bytes(token_id).decode() for token_id in tokenizer.encode(text)]


def test_better_scored_tokens_are_joined_first(write_vocabulary):
    tokenizer = load_tokenizer(write_vocabulary(PIECES))
    assert pieces_of(tokenizer, "hello he") == ["hello", " ", "he"]


def test_no_space_is_put_before_a_text_unless_the_file_says_so(write_vocabulary):
    assert pieces_of(load_tokenizer(write_vocabulary(PIECES)), "he") == ["he"]
    assert pieces_of(load_tokenizer(write_vocabulary(PIECES, adds_space=True)), "he") == [" ", "he"]


def test_the_files_chat_template_is_told_with_the_names_of_its_tokens(write_vocabulary):
    config = load_tokenizer(write_vocabulary(PIECES, chat_template="{{ messages }}")).config
    named = [config[name] for name in ("chat_template", "bos_token", "eos_token", "unk_token")]
    assert named == ["{{ messages }}", "<bos>", "<eos>", "<unk>"]


def test_a_space_put_before_a_text_is_taken_off_again(write_vocabulary):
    tokenizer = load_tokenizer(write_vocabulary(PIECES, adds_space=True))
    assert [tokenizer.decode(tokenizer.encode(text)) for text in ("he", " he", "")] == ["he", " he", ""]


def test_what_the_vocabulary_lacks_falls_back_to_bytes(write_vocabulary):
    tokenizer = load_tokenizer(write_vocabulary(PIECES))
    assert tokenizer.encode("é") == [4 + 0xC3, 4 + 0xA9]
    assert tokenizer.decode([4 + 0xC3, 4 + 0xA9]) == "é"


def test_user_defined_tokens_are_cut_out_first_and_the_longest_wins(write_vocabulary):
    tokenizer = load_tokenizer(write_vocabulary(PIECES, user_defined=["\n", "\n\n", "ello"]))
    assert pieces_of(tokenizer, "hello\n\n\nhe") == ["h", "ello", "\n\n", "\n", "he"]


def test_a_control_token_in_a_text_is_plain_text(write_vocabulary):
    tokenizer = load_tokenizer(write_vocabulary(PIECES))
    ids = tokenizer.encode("<eos>he<bos>")
    assert not {0, 1, 2, 3} & set(ids)
    assert tokenizer.decode(ids) == "<eos>he<bos>"


def test_the_second_load_reads_what_the_first_one_kept(write_vocabulary, tmp_path):
    vocabulary = read_vocabulary(write_vocabulary(PIECES))
    cache = tmp_path / "kept"
    built, kept = cached_backend(vocabulary, cache), cached_backend(vocabulary, cache)
    assert kept.to_str() == built.to_str() == build_backend(vocabulary).to_str()
    assert [path.suffix for path in cache.iterdir() if not path.name.startswith(".")] == [".json"]


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-7], lambda content: content.replace(b"he", b"eh"), lambda _: b""]
)
def test_a_damaged_cache_is_built_again(write_vocabulary, tmp_path, damage):
    vocabulary = read_vocabulary(write_vocabulary(PIECES))
    whole = cached_backend(vocabulary, tmp_path / "kept").to_str()
    (path,) = (tmp_path / "kept").glob("*.json")
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert cached_backend(vocabulary, tmp_path / "kept").to_str() == whole
    assert path.read_bytes() == content


def test_a_cache_that_cannot_be_written_is_done_without(write_vocabulary, tmp_path):
    (tmp_path / "a file").write_text("in the way")
    vocabulary = read_vocabulary(write_vocabulary(PIECES))
    assert cached_backend(vocabulary, tmp_path / "a file").get_vocab_size() == len(vocabulary.tokens)


def test_the_content_hash_follows_all_that_decides_the_cut(write_vocabulary):
    hashes = {
        read_vocabulary(write_vocabulary(PIECES, **settings)).content_hash()
        for settings in ({}, {"adds_space": True}, {"user_defined": ["x"]})
    }
    assert len(hashes) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": ["<unk>", "a", "ba", "b"]},
        {"tokens": ["<unk>", "ab", "b", "a"]},
        {"scores": [0.0, -1.0, -2.0, -4.0]},
        {"token_type": [2, 1, 1, 4]},
        {"unknown_token_id": 0},
        {"bos_token_id": 1},
    ],
)
def test_the_content_hash_tells_apart_what_differs_in_one_place(change):
    metadata = {f"tokenizer.ggml.{name}": value for name, value in change.items()}
    one, other = (GgufVocabulary.from_metadata(GOOD | more, Path("x")) for more in ({}, metadata))
    assert one.content_hash() != other.content_hash()


def read_vocabulary(path: Path) -> GgufVocabulary:
    return GgufVocabulary.from_metadata(read_header(path).metadata, path)


GOOD = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": ["<unk>", "a", "b", "ab"],
    "tokenizer.ggml.scores": [0.0, -1.0, -2.0, -3.0],
    "tokenizer.ggml.token_type": [2, 1, 1, 1],
}


@pytest.mark.parametrize(
    "change",
    [
        {"model": "bert"},
        {"model": 7},
        {"tokens": []},
        {"tokens": ["<unk>", "a", "a", "ab"]},
        {"tokens": "abcd"},
        {"tokens": ["<unk>", "a", "b", 4]},
        {"scores": [0.0, -1.0]},
        {"scores": []},
        {"scores": [0.0, -1.0, float("nan"), -3.0]},
        {"scores": [0, 1, 2, 3]},
        {"token_type": [1, 1, 1]},
        {"bos_token_id": "a"},
        {"add_bos_token": 1},
    ],
    ids=str,
)
def test_a_vocabulary_that_cannot_be_right_is_refused(change):
    metadata = GOOD | {f"tokenizer.ggml.{name}": value for name, value in change.items()}
    with pytest.raises(DamagedError, match=r"model\.gguf"):
        GgufVocabulary.from_metadata(metadata, Path("model.gguf"))


def test_an_id_outside_the_vocabulary_is_no_id():
    read = GgufVocabulary.from_metadata(GOOD | {"tokenizer.ggml.bos_token_id": 2**32 - 1}, Path("x"))
    assert read.bos_id is None


def test_ends_are_named_once_each():
    ends = {f"tokenizer.ggml.{name}_token_id": value for name, value in (("eos", 3), ("eot", 3), ("eom", 1))}
    assert GgufVocabulary.from_metadata(GOOD | ends, Path("x")).eos_ids == (3, 1)


BYTE_LEVEL = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": [
        chr(place) for place in [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x144)]
    ]
    + ["Ġa", "bc", "12", "<|end|>"],
    "tokenizer.ggml.merges": ["Ġ a", "b c", "1 2"],
    "tokenizer.ggml.pre": "qwen2",
}


def byte_level(cuts: str) -> GgufVocabulary:
    kinds = [1] * (len(BYTE_LEVEL["tokenizer.ggml.tokens"]) - 1) + [3]
    changed = {"tokenizer.ggml.pre": cuts, "tokenizer.ggml.token_type": kinds}
    return GgufVocabulary.from_metadata(BYTE_LEVEL | changed, Path("x"))


@pytest.mark.parametrize(
    ("cuts", "expected"),
    [
        ("llama-bpe", ["bc", "Ġa", "12"]),
        ("qwen2", ["bc", "Ġa", "1", "2"]),
        ("gpt-2", ["bc", "Ġa", "12"]),
        ("mpt", ["bc", "Ġa", "12"]),
        ("olmo", ["bc", "Ġa", "12"]),
        ("smollm", ["bc", "Ġa", "1", "2"]),
    ],
)
def test_byte_level_vocabularies_cut_words_in_the_way_the_file_names(cuts, expected):
    assert build_backend(byte_level(cuts)).encode("bc a12").tokens == expected


def test_an_unknown_way_to_cut_words_is_refused():
    with pytest.raises(DamagedError, match="'telepathy'"):
        build_backend(byte_level("telepathy"))


@pytest.mark.parametrize("bos", ["a b", "x:1", ":"])
def test_a_bos_that_no_template_can_hold_is_named(write_vocabulary, bos):
    with pytest.raises(DamagedError, match="cannot stand before a text"):
        load_tokenizer(write_vocabulary(PIECES, bos=bos))


def test_merges_that_do_not_fit_their_tokens_are_refused():
    metadata = BYTE_LEVEL | {"tokenizer.ggml.merges": ["q x"]}
    with pytest.raises(DamagedError, match="merges"):
        build_backend(GgufVocabulary.from_metadata(metadata, Path("x")))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=40))
def test_any_text_comes_back_from_its_ids(write_vocabulary, text):
    tokenizer = load_tokenizer(write_vocabulary(PIECES, user_defined=["  ", "\n\n"]))
    assert tokenizer.decode(tokenizer.encode(text)) == text.replace("▁", " ")


def test_the_kept_file_is_plain_json_under_its_hash(write_vocabulary, tmp_path):
    cached_backend(read_vocabulary(write_vocabulary(PIECES)), tmp_path)
    (path,) = tmp_path.glob("*.json")
    assert json.loads(path.read_bytes().partition(b"\n")[2])["model"]["byte_fallback"] is True
