"""What `potstill index search` shows."""

from typing import TYPE_CHECKING, Any

from potstill.cli.index_output import (
    counts_line,
    index_table,
    passage_table,
    show_passages,
    tokens_line,
    tokens_table,
)
from potstill.cli.output import printable

if TYPE_CHECKING:
    from potstill.index.reader import Index
    from potstill.index.results import Passage, SearchCount


def show_search(index: "Index", answer: "SearchCount", context_tokens: int, *, with_tokens: bool) -> None:
    if with_tokens:
        for number, clause in enumerate(answer.clauses):
            sign = "counted" if number == answer.anchor else "near it"
            lines = " OR ".join(tokens_line(index.vocabulary, ngram) for ngram in clause)
            print(printable(f"tokens, {sign}: {lines}"))
    told = {"occurrences": answer.count, "documents": answer.num_documents}
    line = counts_line(told, shown=len(answer.occurrences))
    if not answer.is_exact:
        line = f"at least {line}; approximate: at most {answer.most:,} occurrences"
    print(line)
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
