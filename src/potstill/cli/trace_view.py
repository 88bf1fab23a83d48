"""How a traced text is shown: the text with its spans marked, then the documents that hold them."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from potstill.cli.index_output import counted, passage_table, show_passages
from potstill.cli.output import print_table, printable

if TYPE_CHECKING:
    from potstill.index.tracing import Trace

# What is shown of a span in the table of spans.
_MOST_CHARS = 60


def show_trace(trace: "Trace") -> None:
    """On a terminal the spans are highlighted; elsewhere each stands in double brackets with its number."""
    _print_text(trace)
    print()
    kept, found = len(trace.spans), trace.num_found
    share = trace.num_covered_bytes / max(len(trace.content), 1)
    print(
        f"{kept:,} of {found:,} spans, {share:.0%} of the text, {counted(len(trace.documents), 'document')}"
    )
    if trace.spans:
        _print_spans(trace)
    for document in trace.documents:
        show_passages(hit.passage for hit in document.hits)
        spans = ", ".join(str(hit.span + 1) for hit in document.hits)
        print(f"    span {spans}, score {document.score:.1f}")


def trace_table(trace: "Trace") -> dict[str, Any]:
    return {
        "text": trace.text,
        "num_text_tokens": trace.num_tokens,
        "num_found": trace.num_found,
        "num_covered_bytes": trace.num_covered_bytes,
        "spans": [
            {
                "start": span.start,
                "stop": span.stop,
                "byte_start": span.byte_start,
                "byte_stop": span.byte_stop,
                "text": span.text,
                "count": span.count,
                "logprob": span.logprob,
                "documents": list(span.documents),
            }
            for span in trace.spans
        ],
        "regions": [{**region._asdict(), "spans": list(region.spans)} for region in trace.regions],
        "documents": [
            {
                "document": document.number,
                "score": document.score,
                "hits": [{"span": hit.span, **passage_table(hit.passage)} for hit in document.hits],
            }
            for document in trace.documents
        ],
    }


def _print_spans(trace: "Trace") -> None:
    rows = [
        (number, f"{span.count:,}", f"{span.logprob:.1f}", len(span.documents), _shortened(span.text))
        for number, span in enumerate(trace.spans, 1)
    ]
    columns = ("span", "count", "logprob", "documents", "text")
    print_table(columns, rows, right=columns[:4])


def _print_text(trace: "Trace") -> None:
    pieces = [(printable(text), numbers) for text, numbers in _pieces(trace)]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        marked = [
            part
            for text, numbers in pieces
            for part in ((text, "bold reverse" if numbers else ""), (numbers, "dim"))
        ]
        Console(highlight=False).print(Text.assemble(*marked))
    else:
        print("".join(f"[[{text}]]{numbers}" if numbers else text for text, numbers in pieces))


def _pieces(trace: "Trace") -> Iterator[tuple[str, str]]:
    """The text in pieces, each with the numbers of the spans that it is, in parentheses."""
    at = 0
    for region in trace.regions:
        yield _decoded(trace, at, region.byte_start), ""
        numbers = ",".join(str(span + 1) for span in region.spans)
        yield _decoded(trace, region.byte_start, region.byte_stop), f"({numbers})"
        at = region.byte_stop
    yield _decoded(trace, at, len(trace.content)), ""


def _decoded(trace: "Trace", start: int, stop: int) -> str:
    return trace.content[start:stop].decode(errors="replace")


def _shortened(text: str) -> str:
    half = _MOST_CHARS // 2
    return text if len(text) <= _MOST_CHARS else f"{text[: half - 1]} … {text[1 - half :]}"
