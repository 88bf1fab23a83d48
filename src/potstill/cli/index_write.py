"""`potstill index build|add|delete|merge|verify|stats`: make an index, change it, look after it."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from potstill.cli.index_options import IndexFolder
from potstill.cli.options import Json, Quiet
from potstill.cli.passed_over import PassedOverFiles

if TYPE_CHECKING:
    from potstill.corpus.vocabulary import Vocabulary
    from potstill.index.build import BuildSettings
    from potstill.index.manifest import Manifest
    from potstill.index.stats import IndexStats

Sources = Annotated[
    list[Path], typer.Argument(metavar="SOURCE", help="A file, a folder, a pattern, or a corpus by itself.")
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="INDEX", help="The index's folder; left out, of one source: its name and `.index`."),
]
TokenizerName = Annotated[
    str | None,
    typer.Option(
        "--tokenizer",
        metavar="MODEL|bytes",
        help="Whose tokens to count; left out: the corpus's, the embedded model's if it is installed, bytes.",
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Hold at most so much, as in 4GB; left out: half of what is free."),
]
NoTables = Annotated[
    bool, typer.Option("--no-tables", help="Leave out the tables of one and two tokens: smaller and slower.")
]
Field = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of records, that holds the text; left out: the usual ones."),
]
Workers = Annotated[
    int | None, typer.Option(metavar="N", min=1, max=256, help="Processes and threads; left out: one a core.")
]
NumShards = Annotated[
    int | None,
    typer.Option(
        "--shards", metavar="N", min=1, max=4096, help="Build so many shards; left out: one a worker."
    ),
]
ExecutorKind = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="local|ray|ADDRESS",
        help="Who builds the shards: processes here, or a Ray cluster (ray://HOST:PORT).",
    ),
]
Numbers = Annotated[
    list[int] | None, typer.Option("--document", metavar="N", help="A document's number. Repeatable.")
]
Files = Annotated[
    list[Path] | None,
    typer.Option("--source", metavar="PATH", help="All documents of a source file. Repeatable."),
]


def build(
    sources: Sources,
    out: Out = None,
    tokenizer: TokenizerName = None,
    memory: Memory = None,
    no_tables: NoTables = False,
    field: Field = None,
    workers: Workers = None,
    shards: NumShards = None,
    executor: ExecutorKind = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Index texts: every n-gram of any length can be counted from then on.

    A build that was stopped goes on with the same command. An index that stands there is replaced at the end.

    With --shards or --executor the index is built in shards, each by itself by a worker: processes here, or a
    Ray cluster whose machines all see the sources and --out under the same paths.
    """
    from potstill.cli.index_shards import ShardPlan, build_in_shards, show_shards
    from potstill.cli.index_vocabulary import choose_vocabulary
    from potstill.index.build import build_index, refuse_foreign
    from potstill.progress import progress_for

    out = out or _named_after(sources)
    plan = ShardPlan(shards, executor, workers)
    if not plan.is_asked_for:
        refuse_foreign(out)
    with _changing(out):
        progress = progress_for(sys.stderr, quiet=quiet)
        settings = _settings(memory, not no_tables, field, workers)
        vocabulary = choose_vocabulary(sources, tokenizer, progress)
        if plan.is_asked_for:
            built = build_in_shards(sources, out, vocabulary, settings, plan, progress)
            return show_shards(out, built, as_json=json_)
        _say_expected(sources, vocabulary, settings, is_quiet=quiet)
        passed_over = PassedOverFiles(is_quiet=quiet or json_)
        manifest = build_index(sources, out, vocabulary, settings, progress, passed_over)
    _show_changed(out, manifest, as_json=json_, more={"passed_over": passed_over.told})


def _named_after(sources: list[Path]) -> Path:
    """NAME.index in the working folder, for a source called NAME."""
    from potstill.errors import UsageError

    name = sources[0].resolve().name if len(sources) == 1 else ""
    if not name or any(mark in name for mark in "*?["):
        raise UsageError("Of several sources, or a pattern, the index has no name. Give it one: --out INDEX.")
    return Path(f"{name}.index")


def add(
    index: IndexFolder,
    sources: Sources,
    memory: Memory = None,
    field: Field = None,
    workers: Workers = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Add documents to an index; they are cut into tokens as those it has."""
    from potstill.index.changes import add as add_documents
    from potstill.index.manifest import require_index
    from potstill.progress import progress_for

    require_index(index)
    with _changing(index):
        settings = _settings(memory, True, field, workers)
        progress = progress_for(sys.stderr, quiet=quiet)
        passed_over = PassedOverFiles(is_quiet=quiet or json_)
        manifest = add_documents(index, sources, settings, progress, passed_over)
    _show_changed(index, manifest, as_json=json_, more={"passed_over": passed_over.told})


def delete(
    index: IndexFolder,
    document: Numbers = None,
    source: Files = None,
    memory: Memory = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Delete documents from an index: no answer counts them any more."""
    from potstill.devices import memory_budget
    from potstill.index.changes import delete as delete_documents
    from potstill.index.manifest import require_index
    from potstill.progress import progress_for

    require_index(index)
    with _changing(index):
        manifest = delete_documents(
            index,
            documents=document or (),
            sources=source or (),
            memory_bytes=memory_budget(memory),
            progress=progress_for(sys.stderr, quiet=quiet),
        )
    _show_changed(index, manifest, as_json=json_)


def merge(
    index: IndexFolder,
    memory: Memory = None,
    workers: Workers = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Write the live documents as one segment: deleted ones are gone, and answers come faster."""
    from potstill.index.manifest import require_index
    from potstill.index.merge import merge_index
    from potstill.progress import progress_for

    require_index(index)
    with _changing(index):
        settings = _settings(memory, True, None, workers)
        manifest = merge_index(index, settings.sort, progress_for(sys.stderr, quiet=quiet))
    _show_changed(index, manifest, as_json=json_)


def verify(index: IndexFolder, quiet: Quiet = False, json_: Json = False) -> None:
    """Check every byte of an index, and that its order is right; ends with 5 where anything is damaged."""
    from potstill.cli.output import format_bytes, print_json, print_table, say
    from potstill.errors import DamagedError
    from potstill.index.shard_checks import verify_any
    from potstill.progress import progress_for

    findings = verify_any(index, progress_for(sys.stderr, quiet=quiet))
    damaged = [finding for finding in findings if finding.problem]
    if json_:
        files = [
            {"path": str(each.path), "check": each.check, "bytes": each.num_bytes, "problem": each.problem}
            for each in findings
        ]
        print_json("potstill.index-verify/1", {"index": str(index), "is_whole": not damaged, "checks": files})
        if damaged:
            raise SystemExit(DamagedError.exit_code)
        return
    rows = [
        (
            each.path.relative_to(index),
            format_bytes(each.num_bytes),
            each.check,
            "DAMAGED" if each.problem else "ok",
        )
        for each in findings
    ]
    print_table(("file", "size", "checked", "state"), rows, right=("size",))
    if damaged:
        for each in damaged[1:]:
            say(f"potstill: {each.problem}")
        raise DamagedError(str(damaged[0].problem))


def stats(index: IndexFolder, json_: Json = False) -> None:
    """Show what an index holds, segment by segment, and what it takes on the disk."""
    from potstill.cli.output import print_json
    from potstill.index.shard_checks import stats_of_any

    found = stats_of_any(index)
    if not json_:
        _show_stats(found)
        return
    manifest = found.manifest
    told: dict[str, Any] = {
        "index": str(index),
        "generation": manifest.generation,
        "num_documents": manifest.num_documents,
        "num_tokens": manifest.num_tokens,
        "vocabulary": vars(manifest.vocabulary),
        "bytes": found.num_bytes,
        "query_bytes": found.query_bytes,
        "bytes_per_token": found.bytes_per_token,
        "interpolation": manifest.interpolation,
    }
    print_json("potstill.index-stats/1", {**told, "segments": [vars(each) for each in found.segments]})


@contextmanager
def _changing(index: Path) -> Iterator[None]:
    """Refuse at once where another process changes the index; say how to go on after Ctrl-C or SIGTERM."""
    from potstill.cli.output import say
    from potstill.locks import locked
    from potstill.runs.execute import Terminated, sigterm_raises

    # Asked again by the library; here so that a second process is refused before anything heavy is imported.
    if index.is_dir():
        with locked(index):
            pass
    try:
        with sigterm_raises():
            yield
    except (KeyboardInterrupt, Terminated):
        say("\nStopped. What is finished is kept; run the same command again to go on.")
        raise


def _say_expected(
    sources: list[Path], vocabulary: "Vocabulary", settings: "BuildSettings", *, is_quiet: bool
) -> None:
    """What a build of more than a minute takes, before it begins."""
    if is_quiet:
        return
    from potstill.cli.output import format_bytes, say
    from potstill.index.room import expect_build
    from potstill.progress import format_duration

    expected = expect_build(sources, vocabulary, settings.num_workers)
    if expected.seconds > 60:
        say(
            f"This takes about {format_duration(expected.seconds)} and at least "
            f"{format_bytes(expected.least_bytes)} on the disk."
        )


def _settings(
    memory: str | None, with_tables: bool, field: str | None, workers: int | None
) -> "BuildSettings":
    from potstill.devices import memory_budget, num_threads
    from potstill.index.build import BuildSettings

    return BuildSettings(memory_budget(memory), with_tables, field, workers or num_threads())


def _show_changed(
    index: Path, manifest: "Manifest", *, as_json: bool, more: Mapping[str, Any] | None = None
) -> None:
    from potstill.cli.output import print_json, printable

    if as_json:
        told = {
            "index": str(index),
            "generation": manifest.generation,
            "num_documents": manifest.num_documents,
            "num_tokens": manifest.num_tokens,
            "num_segments": len(manifest.segments),
            **(more or {}),
        }
        print_json("potstill.index-change/1", told)
        return
    print(
        f"{printable(index)}: {manifest.num_documents:,} documents, {manifest.num_tokens:,} tokens, "
        f"generation {manifest.generation}"
    )


def _show_stats(found: "IndexStats") -> None:
    from potstill.cli.output import format_bytes, print_table

    manifest, per_token = found.manifest, found.bytes_per_token
    rows = [
        ("documents", f"{manifest.num_documents:,}"),
        ("tokens", f"{manifest.num_tokens:,}"),
        ("vocabulary", f"{manifest.vocabulary.kind}, {manifest.vocabulary.vocab_size:,} tokens"),
        ("on the disk", format_bytes(found.num_bytes)),
        ("tokens, suffixes and tables", format_bytes(found.query_bytes)),
        ("a token takes", "" if per_token is None else f"{per_token:.2f} bytes of these"),
        ("generation", f"{manifest.generation}"),
    ]
    print_table(("what", "value"), rows)
    print()
    segments = [
        (
            each.name if each.sign > 0 else f"{each.name} (deleted)",
            f"{each.num_documents:,}",
            f"{each.num_tokens:,}",
            format_bytes(sum(each.files.values())),
        )
        for each in found.segments
    ]
    columns = ("segment", "documents", "tokens", "size")
    print_table(columns, segments, right=columns[1:])
