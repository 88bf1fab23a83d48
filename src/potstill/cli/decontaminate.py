"""`potstill corpus decontaminate`: evaluation records that stand in a corpus, found and refused."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from potstill.cli.options import Json, Quiet, Threads

if TYPE_CHECKING:
    from potstill.index.contamination import Contamination, EvalRecord, GateSettings, RecordOverlap
    from potstill.index.open import OpenIndex
    from potstill.index.reader import Index
    from potstill.progress import Progress

Corpus = Annotated[Path, typer.Argument(metavar="CORPUS", help="The folder of a corpus or of an index.")]
Eval = Annotated[
    list[Path], typer.Option("--eval", metavar="FILE", help="Records of an evaluation. Repeatable.")
]
Field = Annotated[
    list[str] | None,
    typer.Option("--field", metavar="NAME", help="A field to compare; left out: all text. Repeatable."),
]
Threshold = Annotated[
    float,
    typer.Option(metavar="SHARE", min=0, max=1, help="Refuse records that share so much; 0: any n-gram."),
]
Ngram = Annotated[int, typer.Option(metavar="N", min=3, help="Words of an n-gram.")]
LongestWords = Annotated[
    int, typer.Option(metavar="N", min=1, help="Refuse records with a match of so many words.")
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write the corpus without the documents that hold refused records."),
]
Memory = Annotated[str | None, typer.Option(metavar="SIZE", help="Memory to use at most, such as 4GB.")]
Limit = Annotated[int, typer.Option(metavar="N", min=0, help="Show at most so many records.")]


def decontaminate(
    corpus: Corpus,
    eval_: Eval,
    field: Field = None,
    threshold: Threshold = 0.5,
    ngram: Ngram = 13,
    longest_words: LongestWords = 50,
    out: Out = None,
    memory: Memory = None,
    threads: Threads = None,
    limit: Limit = 20,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Refuse (exit 3) evaluation records that stand in a corpus, or write the corpus without them."""
    from potstill.devices import memory_budget
    from potstill.index.contamination import GateSettings, read_eval
    from potstill.index.decontamination import indexed
    from potstill.index.overlap import OverlapSettings
    from potstill.index.reader import Index
    from potstill.index.shards import open_any
    from potstill.progress import progress_for

    _check(corpus, out, memory)
    settings = GateSettings(OverlapSettings(ngram, min(ngram, 8)), threshold, longest_words)
    records = list(read_eval(eval_, field or ()))
    progress, num_threads = progress_for(sys.stderr, quiet=quiet), threads or os.cpu_count() or 1
    with (
        indexed(corpus, memory_bytes=memory_budget(memory), threads=num_threads, progress=progress) as path,
        Index(opened := open_any(path)) as index,
    ):
        found = _compare(index, records, settings, num_threads, progress)
        removed = _write(index, opened, found, out, progress) if out else None
        _tell(index, corpus, found, out, removed, limit=limit, as_json=json_)


def _compare(
    index: "Index", records: "list[EvalRecord]", settings: "GateSettings", threads: int, progress: "Progress"
) -> "Contamination":
    from potstill.index.contamination import contamination

    return contamination(index, records, settings, threads=threads, progress=progress)


def _check(corpus: Path, out: Path | None, memory: str | None) -> None:
    """What would show only after minutes of comparing, or never."""
    from potstill.corpus.manifest import CORPUS_FILE
    from potstill.errors import UsageError
    from potstill.index.decontamination import is_index

    if memory is not None and is_index(corpus):
        raise UsageError(f"{corpus} is an index already; --memory is for building one. Leave it out.")
    if out is not None and (out / CORPUS_FILE).exists():
        raise UsageError(f"{out} holds a corpus already. Name another folder, or remove it first.")


def _write(
    index: "Index", opened: "OpenIndex", found: "Contamination", out: Path, progress: "Progress"
) -> tuple[int, ...]:
    """Numbers of the documents that the corpus `out` does without."""
    from potstill.index.contamination import holding_documents
    from potstill.index.decontamination import write_without

    removed = holding_documents(index, found)
    write_without(opened, {number: {"reason": "contaminated"} for number in removed}, out, progress)
    return removed


def _tell(
    index: "Index",
    corpus: Path,
    found: "Contamination",
    out: Path | None,
    removed: tuple[int, ...] | None,
    *,
    limit: int,
    as_json: bool,
) -> None:
    from potstill.cli.output import print_json, printable
    from potstill.index.contamination import refuse

    if as_json:
        told = _table(index, found, limit)
        written = {"out": str(out) if out else None, "removed_documents": list(removed or ())}
        print_json("potstill.corpus-decontaminate/1", {"corpus": str(corpus), **told, **written})
        if removed is None and found.contaminated:
            # One object on stdout: the report is the refusal.
            raise typer.Exit(3)
        return
    _show(index, found, limit)
    if removed is None:
        refuse(found)
    else:
        print(printable(f"{out} is the corpus without {len(removed):,} of its documents."))


def _show(index: "Index", found: "Contamination", limit: int) -> None:
    from potstill.cli.output import print_table

    shown = found.records[:limit]
    if shown:
        rows = [_row(index, found, record) for record in shown]
        columns = ("record", "shared", "n-grams", "longest", "verdict", "where")
        print_table(columns, rows, right=columns[1:4])
        print()
    judged = found.num_records - found.num_too_short
    more = f", {len(shown):,} shown" if len(shown) < len(found.records) else ""
    print(
        f"{found.num_records:,} records, {judged:,} of them long enough for n-grams: {len(found.records):,} "
        f"share some with the corpus{more}, {len(found.contaminated):,} are contaminated"
    )


def _row(index: "Index", found: "Contamination", record: "RecordOverlap") -> tuple[str, ...]:
    from potstill.index.contamination import example

    passage = example(index, record.longest)
    source = passage.source if passage else None
    number = f" record {source.record}" if source and source.kind != "text" else ""
    return (
        record.record.place,
        f"{record.share:.0%}",
        f"{record.num_matching:,}/{record.num_ngrams:,}",
        f"{record.longest_words:,} words",
        "contaminated" if found.settings.refuses(record) else "",
        f"{source.path}{number}, byte {source.byte_start:,}" if source else "",
    )


def _table(index: "Index", found: "Contamination", limit: int) -> dict[str, Any]:
    from potstill.settings import to_table

    return {
        "settings": to_table(found.settings),
        "num_records": found.num_records,
        "num_too_short": found.num_too_short,
        "num_sharing": len(found.records),
        "num_contaminated": len(found.contaminated),
        "records": [_record_table(index, found, record) for record in found.records[:limit]],
    }


def _record_table(index: "Index", found: "Contamination", record: "RecordOverlap") -> dict[str, Any]:
    from potstill.cli.index_output import passage_table
    from potstill.index.contamination import example

    longest = record.longest
    passage = example(index, longest)
    return {
        "file": str(record.record.path),
        "record": record.record.position,
        "place": record.record.place,
        "is_contaminated": found.settings.refuses(record),
        "num_tokens": record.num_tokens,
        "num_shared_tokens": record.num_shared,
        "share": record.share,
        "num_ngrams": record.num_ngrams,
        "num_matching_ngrams": record.num_matching,
        "longest": {
            "num_tokens": longest.longest.num_tokens,
            "num_words": record.longest_words,
            "text": longest.aligned.text(*longest.longest),
            "place": passage_table(passage) if passage else None,
        },
        "shared": [
            each.aligned.text(span.start, span.stop) for each in record.overlaps for span in each.shared
        ],
    }
