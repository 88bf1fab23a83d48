"""Searches as they are written."""

import pytest

from potstill.errors import UsageError
from potstill.index.cnf_text import parse_cnf


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("a", [["a"]]),
        ("  natural  language ", [["natural  language"]]),
        ("a b OR c", [["a b", "c"]]),
        ("a AND (deep learning OR machine learning)", [["a"], ["deep learning", "machine learning"]]),
        ("(a OR b) AND c AND (d)", [["a", "b"], ["c"], ["d"]]),
        ('" a" OR "f(x) AND \\"y\\" \\\\"', [[" a", 'f(x) AND "y" \\']]),
        ("and or ANDROID", [["and or ANDROID"]]),
        ("(ä\tö)AND(b)", [["ä\tö"], ["b"]]),
        ("line\nbreak AND b", [["line\nbreak"], ["b"]]),
    ],
)
def test_clauses_are_read(text, clauses):
    assert parse_cnf(text) == clauses


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "a text is expected where the end stands"),
        ("a AND", "a text is expected"),
        ("AND a", "character 1: a text is expected"),
        ("(a OR b", "OR or ) is expected"),
        ("(a AND b)", "OR or ) is expected where 'AND b"),
        ("a AND b OR c", "put b OR c in parentheses"),
        ("f(x)", "AND or the end is expected where '(x)"),
        ('a AND "b', "character 7: this quotation is not closed"),
        ('"a" b', "AND or the end is expected"),
        ("()", "a text is expected"),
        ("(a) OR b", "AND or the end is expected"),
    ],
)
def test_what_is_no_search_is_refused_with_its_place(text, problem):
    with pytest.raises(UsageError) as refused:
        parse_cnf(text)
    assert problem in str(refused.value)
