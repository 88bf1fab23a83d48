"""What `potstill index find` and `potstill index search` show: counts, and passages around the places."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from potstill.cli.index_output import (
    counted,
    hint_spaced,
    index_table,
    passage_table,
    say_tokens,
    show_passages,
    shown_of,
    tokens_line,
    tokens_table,
)
from potstill.cli.output import printable

if TYPE_CHECKING:
    from potstill.index.occurrences import Occurrences
    from potstill.index.query import Query
    from potstill.index.reader import Index
    from potstill.index.results import Passage, SearchCount


def show_find(
    index: "Index", query: "Query", places: "Occurrences", context_tokens: int, *, with_tokens: bool
) -> None:
    if with_tokens:
        say_tokens(index.vocabulary, places.query)
    print(f"{counted(places.count, 'occurrence')}{shown_of(len(places), places.count)}")
    if not places.count:
        hint_spaced(index, query)
    show_passages(_found(index, places, context_tokens))


def find_table(index: "Index", places: "Occurrences", context_tokens: int) -> dict[str, Any]:
    return {
        **index_table(index),
        "tokens": tokens_table(index.vocabulary, places.query),
        "count": places.count,
        "occurrences": list(map(passage_table, _found(index, places, context_tokens))),
    }


def show_search(
    index: "Index",
    clauses: "Sequence[Sequence[Query]]",
    answer: "SearchCount",
    context_tokens: int,
    *,
    with_tokens: bool,
) -> None:
    if with_tokens:
        for number, clause in enumerate(answer.clauses):
            sign = "counted" if number == answer.anchor else "near it"
            lines = " OR ".join(tokens_line(index.vocabulary, ngram) for ngram in clause)
            print(printable(f"tokens, {sign}: {lines}"))
    places = f"{counted(answer.count, 'occurrence')} in {counted(answer.num_documents, 'document')}"
    shown = shown_of(len(answer.occurrences), answer.count)
    if answer.is_exact:
        print(f"{places}{shown}")
    else:
        print(f"at least {places}{shown}; approximate: at most {counted(answer.most, 'occurrence')}")
    if not answer.most:
        for query in (query for clause in clauses for query in clause):
            if not index.count(query):
                hint_spaced(index, query)
    show_passages(_passages(index, answer, context_tokens))


def search_table(index: "Index", answer: "SearchCount", context_tokens: int) -> dict[str, Any]:
    return {
        **index_table(index),
        "clauses": [[tokens_table(index.vocabulary, ngram) for ngram in clause] for clause in answer.clauses],
        "anchor": answer.anchor,
        "count": answer.count,
        "most": answer.most,
        "is_exact": answer.is_exact,
        "num_documents": answer.num_documents,
        "occurrences": list(map(passage_table, _passages(index, answer, context_tokens))),
    }


def _passages(index: "Index", answer: "SearchCount", context_tokens: int) -> "list[Passage]":
    return [index.occurrence(*hit, context_tokens=context_tokens) for hit in answer.occurrences]


def _found(index: "Index", places: "Occurrences", context_tokens: int) -> "Iterator[Passage]":
    for place in places:
        yield index.occurrence(*place, len(places.query), context_tokens=context_tokens)
