"""`potstill index count|find|prob|next|infgram|search`: questions to an index. None changes it."""

from typing import Annotated

import typer

from potstill.cli.index_options import (
    Context,
    ContextTokens,
    Degraded,
    File,
    Ids,
    IndexFolder,
    Limit,
    Tokens,
)
from potstill.cli.options import Json

Texts = Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="An n-gram to look up.")]
Text = Annotated[str, typer.Argument(metavar="TEXT", help="An n-gram to look up.")]
Continuation = Annotated[str, typer.Argument(metavar="CONTINUATION", help="What comes right after it.")]
Token = Annotated[str | None, typer.Argument(metavar="TOKEN", help="Tell this token's probability alone.")]
Expression = Annotated[
    str, typer.Argument(metavar="EXPRESSION", help="Such as: 'language AND (deep learning OR networks)'.")
]
Budget = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Look at so many places at most; the answer may be approximate."),
]
InfgramLimit = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=0, help="Show at most so many; left out: 10.")
]
Window = Annotated[
    int, typer.Option(metavar="TOKENS", min=0, max=2**40, help="How far apart what AND joins may start.")
]
EveryToken = Annotated[
    bool,
    typer.Option("--every-token", help="Tell the probability of every token of CONTEXT after those before."),
]


def count(
    index: IndexFolder,
    texts: Texts = None,
    file: File = None,
    ids: Ids = False,
    tokens: Tokens = False,
    degraded: Degraded = False,
    json_: Json = False,
) -> None:
    """Count how often each TEXT occurs."""
    from potstill.cli.index_options import all_queries, opened, shown
    from potstill.cli.index_output import hint_spaced, index_table, say_tokens, tokens_line, tokens_table
    from potstill.cli.output import print_json, print_table

    queries = all_queries(texts, file, as_ids=ids)
    with opened(index, degraded=degraded) as found:
        rows = [found.ids_of(query) for query in queries]
        counts = found.count_batch(*found.ragged(rows)).tolist()
        if json_:
            answers = [
                {"text": shown(query), "count": number, "tokens": tokens_table(found.vocabulary, row)}
                for query, row, number in zip(queries, rows, counts, strict=True)
            ]
            print_json("potstill.index-count/1", {**index_table(found), "answers": answers})
        elif len(queries) == 1:
            if tokens:
                say_tokens(found.vocabulary, rows[0])
            print(counts[0])
            if not counts[0]:
                hint_spaced(found, queries[0])
        else:
            columns = ("count", "text", "tokens") if tokens else ("count", "text")
            table = [
                (number, shown(query), tokens_line(found.vocabulary, row))[: len(columns)]
                for query, row, number in zip(queries, rows, counts, strict=True)
            ]
            print_table(columns, table, right=("count",))


def find(
    index: IndexFolder,
    text: Text,
    limit: Limit = 10,
    context: ContextTokens = 20,
    ids: Ids = False,
    tokens: Tokens = False,
    degraded: Degraded = False,
    json_: Json = False,
) -> None:
    """Show where TEXT stands: file, bytes, and what is around it."""
    from potstill.cli.index_options import one_query, opened
    from potstill.cli.index_search import find_table, show_find
    from potstill.cli.output import print_json

    query = one_query(text, as_ids=ids)
    with opened(index, degraded=degraded) as found:
        places = found.find(query, limit)
        if json_:
            print_json("potstill.index-find/1", find_table(found, places, context))
        else:
            show_find(found, query, places, context, with_tokens=tokens)


def prob(
    index: IndexFolder,
    context: Context,
    continuation: Continuation,
    ids: Ids = False,
    tokens: Tokens = False,
    degraded: Degraded = False,
    json_: Json = False,
) -> None:
    """Tell how likely CONTINUATION is right after CONTEXT."""
    from potstill.cli.index_options import one_query, opened
    from potstill.cli.index_output import (
        hint_spaced,
        index_table,
        say_tokens,
        show_share,
        tokens_table,
    )
    from potstill.cli.output import print_json

    before, after = one_query(context, as_ids=ids), one_query(continuation, as_ids=ids)
    with opened(index, degraded=degraded) as found:
        answer = found.prob(before, after)
        if json_:
            told = {
                "context": tokens_table(found.vocabulary, answer.context),
                "continuation": tokens_table(found.vocabulary, answer.query),
                "context_count": answer.context_count,
                "count": answer.count,
                "probability": answer.value,
            }
            print_json("potstill.index-prob/1", {**index_table(found), **told})
            return
        if tokens:
            say_tokens(found.vocabulary, answer.context + answer.query)
        show_share(answer)
        if not answer.context_count:
            hint_spaced(found, before)


def next_(
    index: IndexFolder,
    context: Context,
    limit: Limit = 10,
    budget: Budget = None,
    ids: Ids = False,
    tokens: Tokens = False,
    degraded: Degraded = False,
    json_: Json = False,
) -> None:
    """Tell what follows CONTEXT, the most frequent first."""
    from potstill.cli.index_options import one_query, opened
    from potstill.cli.index_output import (
        continuations_table,
        hint_spaced,
        index_table,
        say_tokens,
        show_continuations,
        tokens_table,
    )
    from potstill.cli.output import print_json

    with opened(index, degraded=degraded) as found:
        query = one_query(context, as_ids=ids)
        answer = found.next(query, budget=budget or 0)
        if json_:
            told = continuations_table(found.vocabulary, answer, limit)
            table = {"tokens": tokens_table(found.vocabulary, answer.query), **told}
            print_json("potstill.index-next/1", {**index_table(found), **table})
            return
        if tokens:
            say_tokens(found.vocabulary, answer.query)
        show_continuations(found.vocabulary, answer, limit)
        if not answer.total:
            hint_spaced(found, query)


def infgram(
    index: IndexFolder,
    context: Context,
    token: Token = None,
    every_token: EveryToken = False,
    limit: InfgramLimit = None,
    budget: Budget = None,
    ids: Ids = False,
    tokens: Tokens = False,
    degraded: Degraded = False,
    json_: Json = False,
) -> None:
    """Tell what follows the longest end of CONTEXT that occurs: the ∞-gram.

    With TOKEN only how likely that one is; with --every-token how likely each token of CONTEXT was.
    """
    from potstill.cli import index_infgram
    from potstill.cli.index_options import one_query, opened

    _refuse_without_effect(token, every_token, has_limits=budget is not None or limit is not None)
    query = one_query(context, as_ids=ids)
    with opened(index, degraded=degraded) as found:
        if every_token:
            index_infgram.show_scores(found, query, as_json=json_)
        elif token is not None:
            index_infgram.show_probability(
                found, query, one_query(token, as_ids=ids), with_tokens=tokens, as_json=json_
            )
        else:
            index_infgram.show_next(
                found,
                query,
                limit=10 if limit is None else limit,
                budget=budget or 0,
                with_tokens=tokens,
                as_json=json_,
            )


def _refuse_without_effect(token: str | None, every_token: bool, *, has_limits: bool) -> None:
    from potstill.errors import UsageError

    if every_token and (token is not None or has_limits):
        raise UsageError("--every-token takes no TOKEN, no --budget and no --limit.")
    if token is not None and has_limits:
        raise UsageError(
            "A TOKEN's probability is one exact number; leave out --budget and --limit, or the TOKEN."
        )


def search(
    index: IndexFolder,
    expression: Expression,
    window: Window = 100,
    limit: Limit = 10,
    context: ContextTokens = 20,
    budget: Budget = None,
    tokens: Tokens = False,
    degraded: Degraded = False,
    json_: Json = False,
) -> None:
    """Count places where several texts stand near each other in a document.

    Counted are occurrences of the rarest text that AND joins, where the others start within the window.
    """
    from potstill.cli.index_options import opened, text_query
    from potstill.cli.index_search import search_table, show_search
    from potstill.cli.output import print_json
    from potstill.index.cnf_text import parse_cnf

    clauses = [[text_query(ngram) for ngram in clause] for clause in parse_cnf(expression)]
    with opened(index, degraded=degraded) as found:
        answer = found.search(clauses, window_tokens=window, limit=limit, budget=budget)
        if json_:
            print_json("potstill.index-search/1", search_table(found, answer, context))
        else:
            show_search(found, clauses, answer, context, with_tokens=tokens)
