"""Texts and pairs with special tokens, against transformers on the same files."""

import random
from pathlib import Path
from typing import get_args

import pytest

from potstill.errors import UsageError
from potstill.tokenization.load import load_tokenizer
from tokenization.small_tokenizers import LINES, Kind, write_tokenizer


@pytest.mark.parametrize("kind", get_args(Kind))
def test_texts_and_pairs_get_the_special_tokens_transformers_gives_them(kind: Kind, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is in the group `oracles`")
    write_tokenizer(kind, tmp_path)
    ours, reference = load_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    rng = random.Random(1)
    words = " ".join(LINES).split()
    for _ in range(100):
        first, second = (" ".join(rng.choices(words, k=rng.randrange(1, 9))) for _ in range(2))
        limit = rng.randrange(8, 40)
        for text in (first, (first, second)):
            (got,) = ours.encode_whole([text], limit)
            asked = (text,) if isinstance(text, str) else text
            expected = reference(*asked, truncation=True, max_length=limit, return_token_type_ids=True)
            assert got.ids == expected["input_ids"]
            if kind == "wordpiece":
                assert got.type_ids == expected["token_type_ids"]
            whole = reference(*asked)["input_ids"]
            assert got.num_cut == len(whole) - len(got.ids)


SPELT = ["a </s> b", "<s></s></s>", "[SEP] cat [CLS]", "<</s>/s>", "＜/s＞", "<pad>" * 50, "cat</s>"]


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("text", SPELT)
def test_a_user_cannot_write_a_special_token(text: str, kind: Kind, tmp_path: Path) -> None:
    """Nor by characters that the vocabulary takes for those of one."""
    write_tokenizer(kind, tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    special = [tokenizer.piece(token_id) for token_id in range(4)]
    unknown = {"unigram": "<unk>", "wordpiece": "[UNK]"}.get(kind)
    for ids in (tokenizer.encode(text), tokenizer.encode_spans([text])[0].ids):
        pieces = [tokenizer.piece(token_id) for token_id in ids]
        assert not {"</s>", "<s>", "<pad>", "[SEP]", "[CLS]", "[PAD]"} & (set(pieces) - {unknown}), special
    (whole,) = tokenizer.encode_whole([text])
    end = tokenizer.encode_whole([""])[0].ids[-1]
    assert whole.ids.count(end) == 1 and whole.ids[-1] == end


def test_characters_around_a_control_token_keep_their_places(tmp_path: Path) -> None:
    write_tokenizer("unigram", tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    text = "the cat</s>on </s> the mat"
    (found,) = tokenizer.encode_spans([text])
    assert found.ids == tokenizer.encode(text)
    spelt = [
        (tokenizer.piece(token_id).replace("\u2581", ""), text[first:end].strip())
        for token_id, (first, end) in zip(found.ids, found.spans, strict=True)
    ]
    assert all(piece in ("", "<unk>", written) for piece, written in spelt)
    assert "".join(written for piece, written in spelt if piece) == text.replace(" ", "")


@pytest.mark.parametrize("kind", get_args(Kind))
def test_no_texts_give_nothing_and_an_empty_text_its_special_tokens(kind: Kind, tmp_path: Path) -> None:
    write_tokenizer(kind, tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode_whole([]) == []
    assert len(tokenizer.encode_whole([""])[0].ids) == {"unigram": 1, "wordpiece": 2, "byte bpe": 2}[kind]


def test_half_a_character_is_refused(tmp_path: Path) -> None:
    write_tokenizer("unigram", tmp_path)
    with pytest.raises(UsageError, match="surrogate"):
        load_tokenizer(tmp_path).encode_whole([("fine", "\ud800")])
