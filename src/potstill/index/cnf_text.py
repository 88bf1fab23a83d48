"""Clauses of a search as they are written: `natural language AND (deep learning OR "AND gates")`.

AND and OR are words in capitals; an n-gram is what stands between them, without the spaces around it. In
double quotes everything is text, spaces at its ends too; `\\"` is a quotation mark and `\\\\` a backslash.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from potstill.errors import UsageError

_Kind = Literal["word", "quoted", "AND", "OR", "(", ")", "end"]
_PIECE = re.compile(r'\s*(?:([()])|"((?:[^"\\]|\\.)*)"|([^\s()"]+)|(\S))', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class _Piece(NamedTuple):
    kind: _Kind
    text: str
    start: int
    stop: int


def parse_cnf(text: str) -> list[list[str]]:
    """The n-grams of each clause. UsageError, saying where, for what is no such expression."""
    return _Parser(text).expression()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._pieces = [*_pieces(text), _Piece("end", "", len(text), len(text))]
        self._at = 0

    @property
    def _piece(self) -> _Piece:
        return self._pieces[self._at]

    def expression(self) -> list[list[str]]:
        clauses, is_open = [], []
        while True:
            is_open.append(self._piece.kind != "(")
            clauses.append(self._clause())
            if self._piece.kind == "end":
                break
            self._take("AND", "AND or the end")
        for clause, lacks_parentheses in zip(clauses, is_open, strict=True):
            if len(clauses) > 1 and len(clause) > 1 and lacks_parentheses:
                raise UsageError(f"{self._text!r}: beside AND, put {' OR '.join(clause)} in parentheses.")
        return clauses

    def _clause(self) -> list[str]:
        if self._piece.kind != "(":
            return self._alternatives()
        self._at += 1
        found = self._alternatives()
        self._take(")", "OR or )")
        return found

    def _alternatives(self) -> list[str]:
        found = [self._ngram()]
        while self._piece.kind == "OR":
            self._at += 1
            found.append(self._ngram())
        return found

    def _ngram(self) -> str:
        first = self._piece
        if first.kind == "quoted":
            self._at += 1
            return _ESCAPE.sub(r"\1", first.text)
        stop = first.start
        while self._piece.kind == "word":
            stop = self._piece.stop
            self._at += 1
        if stop == first.start:
            raise self._problem("a text")
        return self._text[first.start : stop]

    def _take(self, kind: _Kind, wanted: str) -> None:
        if self._piece.kind != kind:
            raise self._problem(wanted)
        self._at += 1

    def _problem(self, wanted: str) -> UsageError:
        found = "the end" if self._piece.kind == "end" else repr(self._text[self._piece.start :][:20])
        return UsageError(
            f"{self._text!r}, character {self._piece.start + 1}: {wanted} is expected where {found} stands. "
            f"Write A AND (B OR C), and put text with parentheses or AND in it in double quotes."
        )


def _pieces(text: str) -> Iterator[_Piece]:
    for found in _PIECE.finditer(text):
        sign, quoted, word, stray = found.groups()
        start = found.start(found.lastindex or 0)
        if stray is not None:
            raise UsageError(f"{text!r}, character {start + 1}: this quotation is not closed.")
        if quoted is not None:
            yield _Piece("quoted", quoted, start - 1, found.end())
        else:
            yield _Piece(_kind_of(sign or word), sign or word, start, found.end())


def _kind_of(piece: str) -> _Kind:
    signs: dict[str, _Kind] = {"AND": "AND", "OR": "OR", "(": "(", ")": ")"}
    return signs.get(piece, "word")
