"""What `potstill index infgram` shows: a distribution, one probability, or that of every token of a text."""

from typing import TYPE_CHECKING

from potstill.cli.index_output import (
    continuations_table,
    counted,
    format_probability,
    index_table,
    quoted,
    say_tokens,
    show_continuations,
    show_share,
    tokens_line,
    tokens_table,
)
from potstill.cli.output import print_json, print_table, printable

if TYPE_CHECKING:
    from potstill.corpus.vocabulary import Vocabulary
    from potstill.index.query import Query
    from potstill.index.reader import Index


def show_next(
    index: "Index", context: "Query", *, limit: int, budget: int, with_tokens: bool, as_json: bool
) -> None:
    answer = index.infgram_next(context, budget=budget)
    if as_json:
        told = {
            "tokens": tokens_table(index.vocabulary, answer.context),
            "suffix_len": answer.suffix_len,
            "is_sparse": answer.is_sparse,
            **continuations_table(index.vocabulary, answer, limit),
        }
        print_json("potstill.index-infgram/1", {**index_table(index), **told})
        return
    if with_tokens:
        say_tokens(index.vocabulary, answer.context)
    _say_suffix(index.vocabulary, answer.query, is_sparse=answer.is_sparse)
    show_continuations(index.vocabulary, answer, limit)


def show_probability(
    index: "Index", context: "Query", token: "Query", *, with_tokens: bool, as_json: bool
) -> None:
    answer = index.infgram_prob(context, token)
    if as_json:
        told = {
            "tokens": tokens_table(index.vocabulary, answer.context),
            "token": tokens_table(index.vocabulary, answer.query)[0],
            "suffix_len": answer.suffix_len,
            "is_sparse": answer.is_sparse,
            "context_count": answer.context_count,
            "count": answer.count,
            "probability": answer.value,
        }
        print_json("potstill.index-infgram-token/1", {**index_table(index), **told})
        return
    if with_tokens:
        say_tokens(index.vocabulary, answer.context + answer.query)
    suffix = answer.context[len(answer.context) - answer.suffix_len :]
    _say_suffix(index.vocabulary, suffix, is_sparse=answer.is_sparse)
    show_share(answer)


def show_scores(index: "Index", text: "Query", *, as_json: bool) -> None:
    ids = index.ids_of(text)
    scores = index.score(ids)
    columns = (scores.suffix_len, scores.is_sparse, scores.count, scores.context_count)
    rows = zip(ids, *(column.tolist() for column in columns), strict=True)
    answers = [
        {
            "id": token_id,
            "text": index.vocabulary.token_text(token_id),
            "suffix_len": suffix_len,
            "is_sparse": is_sparse,
            "count": count,
            "context_count": context_count,
            "probability": count / context_count if context_count else None,
        }
        for token_id, suffix_len, is_sparse, count, context_count in rows
    ]
    if as_json:
        print_json("potstill.index-infgram-text/1", {**index_table(index), "tokens": answers})
        return
    names = ("token", "probability", "count", "of", "suffix", "sparse")
    table = [
        (
            quoted(row["text"]),
            format_probability(row["probability"]),
            f"{row['count']:,}",
            f"{row['context_count']:,}",
            row["suffix_len"],
            "yes" if row["is_sparse"] else "",
        )
        for row in answers
    ]
    print_table(names, table, right=names[1:5])


def _say_suffix(vocabulary: "Vocabulary", suffix: tuple[int, ...], *, is_sparse: bool) -> None:
    sparse = ", sparse" if is_sparse else ""
    print(printable(f"after {counted(len(suffix), 'token')}{sparse}: {tokens_line(vocabulary, suffix)}"))
