"""A model's vocabulary as llguidance reads it."""

import numpy as np
import pytest

from constraints.small_vocabularies import byte_tokenizer, letter_tokenizer, spaced_tokenizer
from potstill.constraints.vocabulary import Vocabulary, mask_of

TOKENIZERS = {
    "bytes": byte_tokenizer(),
    "letters": letter_tokenizer("abc de", [("a", "b")]),
    "spaced": spaced_tokenizer(),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_texts_are_cut_as_the_tokenizer_cuts_what_goes_on(name):
    tokenizer = TOKENIZERS[name].without_prefix()
    vocabulary = Vocabulary.of(TOKENIZERS[name], tokenizer.vocab_size + 3)
    for text in ("a", "abab", "ab  b", "b a", "deab c"):
        assert vocabulary.matchable.tokenize_str(text) == tokenizer.encode(text)


def test_where_the_tokenizer_loses_characters_the_longest_tokens_are_taken():
    letters = letter_tokenizer("abé", [("a", "b")])
    vocabulary = Vocabulary.of(letters, letters.vocab_size)
    assert b"".join(map(letters.token_bytes, letters.encode("aba?b"))) != b"aba?b"
    found = vocabulary.matchable.tokenize_str("abab")
    assert b"".join(map(letters.token_bytes, found)) == b"abab"


@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokens_that_write_nothing_cannot_be_written(name):
    tokenizer = TOKENIZERS[name]
    vocabulary = Vocabulary.of(tokenizer, tokenizer.vocab_size + 40)
    for token_id in range(tokenizer.vocab_size + 40):
        assert vocabulary.can_write(token_id) == (tokenizer.token_bytes(token_id) not in (b"", b"\xff"))
    assert not vocabulary.can_write(-1) and not vocabulary.can_write(10**9)
    np.testing.assert_array_equal(vocabulary.ends, mask_of(tokenizer.eos_ids, tokenizer.vocab_size + 40))


def test_a_model_with_fewer_rows_than_the_tokenizer_has_tokens_writes_what_it_has():
    tokenizer = letter_tokenizer("abc", [("a", "b")])
    vocabulary = Vocabulary.of(tokenizer, 3)
    assert vocabulary.size == 3 and vocabulary.writable.shape == (1,)
    assert [vocabulary.can_write(token_id) for token_id in range(5)] == [True, True, True, False, False]
    assert not vocabulary.end_ids


def test_a_mask_has_a_bit_a_token():
    mask = mask_of([0, 31, 32, 70], 71)
    assert mask.dtype == np.int32 and mask.tolist() == [1 - 2**31, 1, 64]
    assert mask_of([], 33).tolist() == [0, 0]
