"""How answers of an index are shown: tokens, continuations, passages with the match marked."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from potstill.cli.output import print_table, printable

if TYPE_CHECKING:
    from potstill.corpus.vocabulary import Vocabulary
    from potstill.index.reader import Index
    from potstill.index.results import Continuations, Passage

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
        "left_out": list(index.left_out),
    }


def format_probability(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6f}"


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
    print(f"{found.num_distinct:,} different continuations of {found.total:,} occurrences{_bound(found)}")


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


def counts_line(found: Mapping[str, int], *, shown: int) -> str:
    """`3 occurrences in 2 documents`, with how many are shown where that is not all."""
    told = " in ".join(
        f"{count:,} {name if count != 1 else name.removesuffix('s')}" for name, count in found.items()
    )
    count = next(iter(found.values()))
    return told if shown >= count else f"{told}, {shown:,} shown"


def _bound(found: "Continuations") -> str:
    if found.is_exact:
        return ""
    return f"; approximate: of {found.unresolved:,} the continuation is not known, no count is further off"


def _place(passage: "Passage") -> str:
    source = passage.source
    record = f" record {source.record}" if source.kind != "text" else ""
    exact = "" if source.exact else " (about)"
    return (
        f"{source.path}{record}, bytes {source.byte_start:,}-{source.byte_stop:,}{exact}: "
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
