"""Clauses about a finished text, as one would explain them: regular expressions, and, or, not."""

import re


def occurs(phrase, text):
    """Where the phrase begins or ends with a letter or digit, none stands beside it there."""
    before = r"(?<![^\W_])" if phrase[0].isalnum() else ""
    after = r"(?![^\W_])" if phrase[-1].isalnum() else ""
    return re.search(before + re.escape(phrase) + after, text) is not None


def clause_holds(clause, text):
    return any(occurs(phrase.text, text) == phrase.is_wanted for phrase in clause)


def holds(clauses, text):
    return all(clause_holds(clause, text) for clause in clauses)
