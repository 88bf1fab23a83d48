"""`potstill index trace`: which spans of a text stand in the corpus, and in which documents."""

from typing import Annotated

import typer

from potstill.cli.index_options import ContextTokens, Degraded, IndexFolder, Tokens
from potstill.cli.options import Json

Text = Annotated[str | None, typer.Argument(metavar="TEXT", help="The text to trace.")]
TextFile = Annotated[
    str | None, typer.Option("--file", metavar="FILE", help="Trace the text of FILE, or standard input: -.")
]
MinTokens = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Shortest span; left out: 4 tokens, or 16 bytes.")
]
MaxCount = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Leave out spans that occur more often.")
]
LimitDocuments = Annotated[int, typer.Option(metavar="N", min=0, help="Documents to fetch for each span.")]
Density = Annotated[
    float, typer.Option(metavar="SHARE", help="Spans to keep for each token of the text (bytes: each word).")
]


def trace(
    index: IndexFolder,
    text: Text = None,
    file: TextFile = None,
    min_tokens: MinTokens = None,
    max_count: MaxCount = None,
    limit_documents: LimitDocuments = 10,
    density: Density = 0.05,
    context: ContextTokens = 40,
    tokens: Tokens = False,
    degraded: Degraded = False,
    json_: Json = False,
) -> None:
    """Show which spans of a text stand in the corpus, and the documents that hold them."""
    from potstill.cli.index_options import opened
    from potstill.cli.index_output import index_table, say_tokens, tokens_table
    from potstill.cli.output import print_json
    from potstill.cli.trace_view import show_trace, trace_table
    from potstill.index.tracing import TraceSettings
    from potstill.index.tracing import trace as trace_text

    content = _content(text, file)
    settings = TraceSettings(min_tokens, max_count, density, limit_documents, context)
    with opened(index, degraded=degraded) as found:
        traced = trace_text(found, content, settings)
        if json_:
            told = trace_table(traced)
            if tokens:
                told["tokens"] = tokens_table(found.vocabulary, traced.token_ids)
            print_json("potstill.index-trace/1", {**index_table(found), **told})
            return
        if tokens:
            say_tokens(found.vocabulary, traced.token_ids)
        show_trace(traced)


def _content(text: str | None, file: str | None) -> str | bytes:
    from potstill.cli.index_options import read_input, text_query
    from potstill.errors import UsageError

    if (text is None) == (file is None):
        raise UsageError("Name one text to trace: TEXT, or --file FILE.")
    return read_input(file) if file is not None else text_query(text or "")
