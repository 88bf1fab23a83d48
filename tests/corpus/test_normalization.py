"""Newswire style, on sentences rewritten by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.corpus.normalization import newswire_style


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Japan's exports rose 3.5%.", "japan 's exports rose #.# percent ."),
        ("He said, “We don’t know.”", "he said , `` we do n't know . ''"),
        ('"It is over," he said.', "`` it is over , '' he said ."),
        ('The "big" one won.', "the `` big '' one won ."),
        (
            "They've seen he'll come, I'm told; she'd left.",
            "they 've seen he 'll come , i 'm told ; she 'd left .",
        ),
        ("It can't, won't and isn't.", "it ca n't , wo n't and is n't ."),
        ("The O'Haras lost 1,000 goats.", "the o'haras lost #,### goats ."),
        ("At 10:30 on 3/4/2019, it rained: hard.", "at ##:## on #/#/#### , it rained : hard ."),
        ("They won 3-2 (after extra time).", "they won #-# -lrb- after extra time -rrb- ."),
        ("Rates [of 2010–2012] fell.", "rates -lsb- of ####-#### -rsb- fell ."),
        ("She left – loudly — at last.", "she left -- loudly -- at last ."),
        ("The U.S. fleet left the U.S.", "the u.s. fleet left the u.s. ."),
        ("NEC Corp. met Mr. Lee of NEC Corp.", "nec corp. met mr. lee of nec corp ."),
        ("It cost $3.5 million or €2bn.", "it cost $ #.# million or € #bn ."),
        ("Is it over?", "is it over ?"),
        ("Stop!", "stop !"),
        ("Well...", "well ..."),
        ("Well…", "well ..."),
        ("No full stop", "no full stop"),
        ("  Too   much\tspace. ", "too much space ."),
        ("", ""),
    ],
)
def test_hand_written_rewritings(sentence: str, expected: str) -> None:
    assert newswire_style(sentence) == expected


@given(st.text())
def test_digits_capitals_and_runs_of_space_never_remain(sentence: str) -> None:
    styled = newswire_style(sentence)
    assert not any(character.isdecimal() for character in styled)
    assert styled == styled.lower() == " ".join(styled.split())
