"""Streams of text: the same text as at once, and never half a character."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.tokenization.load import load_tokenizer
from potstill.tokenization.streaming import TextStream

PIECES = [(letter, -float(place)) for place, letter in enumerate("▁ab")]
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(text=st.text(max_size=20))
def test_a_stream_gives_the_text_and_only_whole_characters(write_vocabulary, text):
    tokenizer = load_tokenizer(write_vocabulary(PIECES))
    stream, shown = TextStream(tokenizer), ""
    for token_id in tokenizer.encode(text):
        shown += stream.push(token_id)
        assert text.replace("▁", " ").startswith(shown)
    assert stream.finish() == ""
    assert shown == text.replace("▁", " ")


@quick
@given(ids=st.lists(st.integers(0, 262), max_size=20))
def test_any_tokens_stream_as_they_decode(write_vocabulary, ids):
    tokenizer = load_tokenizer(write_vocabulary(PIECES))
    stream = TextStream(tokenizer)
    assert "".join(map(stream.push, ids)) + stream.finish() == tokenizer.decode(ids)


def test_a_character_left_unfinished_is_shown_at_the_end(write_vocabulary):
    tokenizer = load_tokenizer(write_vocabulary(PIECES))
    stream = TextStream(tokenizer)
    first, second, *_ = tokenizer.encode("日")
    assert (stream.push(first), stream.push(second), stream.finish()) == ("", "", "\ufffd")


def test_a_fork_goes_on_from_half_a_character(write_vocabulary):
    tokenizer = load_tokenizer(write_vocabulary(PIECES))
    first, second = tokenizer.encode("é"), tokenizer.encode("è")
    assert first[:-1] == second[:-1]
    stream = TextStream(tokenizer)
    shown = "".join(map(stream.push, first[:-1]))
    fork = stream.fork()
    assert (shown + stream.push(first[-1])).endswith("é") and fork.push(second[-1]).endswith("è")
