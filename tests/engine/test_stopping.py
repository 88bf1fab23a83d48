import random

import pytest

from potstill.engine.stopping import WrittenText, find_stop
from potstill.types import SamplingParams


class Letters:
    """Tokens of one to three letters each."""

    def __init__(self, pieces):
        self._pieces = pieces

    def push(self, token_id):
        return self._pieces[token_id]

    def fork(self):
        return self


def write(pieces, **settings):
    """What is left of the text, and how many pieces were written until it ended, or None."""
    text = WrittenText(SamplingParams(**settings), Letters(pieces))
    for index in range(len(pieces)):
        if text.push(index):
            return text.cut(is_complete=True), index + 1
    return text.cut(is_complete=False), None


def test_a_stop_text_may_straddle_tokens_and_is_cut_off():
    assert write(["ab", "c#", "", "#", "d"], stop=("##",)) == ("abc", 4)


def test_the_first_stop_text_in_the_text_decides():
    assert write(["one", " two\n\nth", "ree"], stop=("th", "\n\n", "\n")) == ("one two", 2)


def test_without_anything_to_stop_at_the_text_is_whole():
    assert write(["one. ", "Two. ", "Three"]) == ("one. Two. Three", None)


def test_the_text_ends_once_its_first_sentence_is_sure_to_be_complete():
    pieces = [" Dr", ".", " Jones", " left", ".", " She", " went", " home", "."]
    text, count = write(pieces, stop_at_first_sentence=True)
    assert text == "Dr. Jones left." and count in (6, 7)


def test_a_text_that_ends_by_itself_ends_its_sentence():
    text = WrittenText(SamplingParams(stop_at_first_sentence=True), Letters([" All done."]))
    assert not text.push(0)
    assert text.cut(is_complete=True) == "All done."


def test_a_sentence_that_max_tokens_cut_off_is_kept_as_it_is():
    assert write([" All", " is"], stop_at_first_sentence=True) == (" All is", None)


@pytest.mark.parametrize("seed", range(30))
def test_stop_texts_are_found_as_in_the_whole_text(seed):
    rng = random.Random(seed)
    whole = "".join(rng.choices("ab\n", k=40))
    stops = tuple("".join(rng.choices("ab\n", k=rng.randrange(2, 6))) for _ in range(2))
    pieces, start = [], 0
    while start < len(whole):
        pieces.append(whole[start : start + rng.randrange(1, 4)])
        start += len(pieces[-1])
    at = find_stop(whole, stops)
    text, count = write(pieces, stop=stops)
    assert (count is not None) == (at is not None)
    # Of two stop texts, the one that is complete first decides.
    if count is not None:
        seen = "".join(pieces[:count])
        assert text == seen[: find_stop(seen, stops)]
        assert find_stop("".join(pieces[: count - 1]), stops) is None


def test_a_fork_is_written_on_by_itself():
    vocabulary = ["one", " tw", "o\n", "rest"]
    first = WrittenText(SamplingParams(stop=("\n",)), Letters(vocabulary))
    assert not first.push(0)
    second = first.fork()
    assert not second.push(3) and not first.push(1) and first.push(2)
    assert (first.cut(is_complete=True), second.cut(is_complete=False)) == ("one two", "onerest")
    assert first.fork().cut(is_complete=True) == "one two"


@pytest.mark.parametrize("seed", range(30))
def test_what_is_shown_is_never_taken_back_and_in_the_end_is_the_text(seed):
    rng = random.Random(seed)
    pieces = ["".join(rng.choices("ab\n", k=rng.randrange(4))) for _ in range(12)]
    stops = tuple("".join(rng.choices("ab\n", k=rng.randrange(1, 6))) for _ in range(rng.randrange(3)))
    text, shown = WrittenText(SamplingParams(stop=stops), Letters(pieces)), ""
    is_over = False
    for index in range(len(pieces)):
        is_over = text.push(index)
        shown += text.shown_next()
        assert text.cut(is_complete=False).startswith(shown)
        if is_over:
            break
        # Nothing is held back that could be shown: the rest may all begin a stop text.
        held = "".join(pieces[: index + 1])[len(shown) :]
        assert not held or any(stop.startswith(held) for stop in stops)
    final = text.cut(is_complete=is_over)
    assert shown + text.rest_of(final) == final


def test_a_first_sentence_is_shown_when_it_is_whole():
    pieces = [" Dr", ".", " Jones", " left", ".", " She", " went"]
    text = WrittenText(SamplingParams(stop_at_first_sentence=True), Letters(pieces))
    for token_id in range(len(pieces)):
        is_over = text.push(token_id)
        assert text.shown_next() == ""
        if is_over:
            break
    assert text.rest_of(text.cut(is_complete=True)) == "Dr. Jones left."


def test_a_text_of_its_own_begins_without_the_first_words_space():
    text = WrittenText(SamplingParams(), Letters(["", " Das", " Haus"]), goes_on=False)
    for token_id in range(3):
        text.push(token_id)
    assert text.cut(is_complete=True) == "Das Haus"
