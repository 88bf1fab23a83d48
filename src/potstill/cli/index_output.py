"""How answers of an index are shown: tokens, continuations, passages with the match marked."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from potstill.cli.output import print_table, printable, say

if TYPE_CHECKING:
    from potstill.corpus.vocabulary import Vocabulary
    from potstill.index.query import Query
    from potstill.index.reader import Index
    from potstill.index.results import Continuations, InfgramProbability, Passage, Probability

END = "(end of document)"


def quoted(text: str) -> str:
    """Text whose spaces and line breaks can be seen."""
    return json.dumps(text, ensure_ascii=False)


def tokens_line(vocabulary: "Vocabulary", ids: Iterable[int]) -> str:
    return " ".join(quoted(vocabulary.token_text(token_id)) for token_id in ids) or "(none)"


def say_tokens(vocabulary: "Vocabulary", ids: Sequence[int]) -> None:
    print(printable(f"tokens: {tokens_line(vocabulary, ids)}"))


def tokens_table(vocabulary: "Vocabulary", ids: Iterable[int]) -> list[dict[str, Any]]:
    return [{"id": token_id, "text": vocabulary.token_text(token_id)} for token_id in ids]


def index_table(index: "Index") -> dict[str, Any]:
    """Which index answered: in every JSON answer."""
    return {
        "index": str(index.path),
        "generation": index.generation,
        "num_tokens": index.num_tokens,
        "partial": bool(index.left_out),
        "left_out": list(index.left_out),
    }


def format_probability(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6f}"


def show_share(answer: "Probability | InfgramProbability") -> None:
    print(f"{format_probability(answer.value)}  ({answer.count:,} of {answer.context_count:,})")


def show_continuations(vocabulary: "Vocabulary", found: "Continuations", limit: int) -> None:
    rows = [
        (quoted(vocabulary.token_text(each.token_id)), str(each.token_id), each.count)
        for each in found.top(limit)
    ]
    if found.num_end:
        rows = sorted([*rows, (END, "", found.num_end)], key=lambda row: -row[2])[:limit]
    table = [
        (text, token_id, f"{count:,}", format_probability(count / found.total))
        for text, token_id, count in rows
    ]
    if table:
        columns = ("token", "id", "count", "probability")
        print_table(columns, table, right=columns[1:])
    told = f"{counted(found.num_distinct, 'continuation')} of {counted(found.total, 'occurrence')}"
    print(f"{told}{_bound(found)}")


def continuations_table(vocabulary: "Vocabulary", found: "Continuations", limit: int) -> dict[str, Any]:
    return {
        "total": found.total,
        "num_distinct": found.num_distinct,
        "num_end": found.num_end,
        "is_exact": found.is_exact,
        "unresolved": found.unresolved,
        "continuations": [
            {
                "id": each.token_id,
                "text": vocabulary.token_text(each.token_id),
                "count": each.count,
                "probability": each.count / found.total,
            }
            for each in found.top(limit)
        ],
    }


def show_passages(passages: Iterable["Passage"]) -> None:
    for passage in passages:
        print()
        print(printable(_place(passage)))
        _print_marked(passage)


def passage_table(passage: "Passage") -> dict[str, Any]:
    source = passage.source
    return {
        "document": passage.document,
        "token_offset": passage.token_offset,
        "num_tokens": passage.num_tokens,
        "before": passage.before,
        "match": passage.match,
        "after": passage.after,
        "source": {**source._asdict(), "path": str(source.path)},
    }


def counted(count: int, name: str) -> str:
    """`1 document`, `2,000 documents`."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def shown_of(shown: int, count: int) -> str:
    """A remark where less is shown than there is."""
    return "" if shown in (0, count) else f", {shown:,} shown"


def hint_spaced(index: "Index", query: "Query") -> None:
    """Of a text that never occurs: say so where it does occur behind a space, as other tokens."""
    if not isinstance(query, str) or not query or query[0].isspace() or index.vocabulary.kind == "bytes":
        return
    count = index.count(f" {query}")
    if count:
        say(f"potstill: {quoted(' ' + query)}, with a space in front, is other tokens and occurs {count:,}x.")


def _bound(found: "Continuations") -> str:
    if found.is_exact:
        return ""
    return f"; approximate: of {found.unresolved:,} the continuation is not known, no count is further off"


def _place(passage: "Passage") -> str:
    source = passage.source
    record = f" record {source.record}" if source.kind != "text" else ""
    exact = "" if source.exact else " (about)"
    # A file's name may hold a line break, and what stands behind it would pass for a line of ours.
    path = str(source.path).replace("\n", "\\n")
    return (
        f"{path}{record}, bytes {source.byte_start:,}-{source.byte_stop:,}{exact}: "
        f"document {passage.document}, token {passage.token_offset:,}"
    )


def _print_marked(passage: "Passage") -> None:
    pieces = [_one_line(text) for text in (passage.before, passage.match, passage.after)]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        before, match, after = pieces
        Console(highlight=False).print(Text.assemble("    ", before, (match, "bold reverse"), after))
    else:
        print("    {}[[{}]]{}".format(*pieces))


def _one_line(text: str) -> str:
    return printable(text.replace("\r\n", "\n")).replace("\n", " ").replace("\t", " ")
