"""`potstill corpus`: documents tokenized once, to be indexed, searched and learned from."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from potstill.cli.decontaminate import decontaminate
from potstill.cli.options import Json, Quiet
from potstill.cli.passed_over import PassedOverFiles

if TYPE_CHECKING:
    from potstill.corpus.stats import CorpusStats

app = typer.Typer(
    help="Turn texts into a corpus, see what is in it, drop what is in it twice.", no_args_is_help=True
)

Sources = Annotated[
    list[Path],
    typer.Argument(metavar="SOURCE", help="Text, code, .jsonl, .csv, .parquet; a folder; a pattern."),
]
Corpus = Annotated[Path, typer.Argument(metavar="CORPUS", help="The folder of a corpus.")]
Out = Annotated[Path, typer.Option(metavar="CORPUS", help="The folder to make; it must be new.")]
TokenizerOf = Annotated[
    str | None,
    typer.Option(
        "--tokenizer",
        metavar="MODEL",
        help="Whose tokens; `bytes` for raw bytes. Left out: the embedded model's, bytes without one.",
    ),
]
Field = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Field of records; left out: text, input, content or document."),
]
Workers = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=256, help="Processes that tokenize; left out: one a core."),
]
Similarity = Annotated[
    float | None,
    typer.Option(metavar="S", help="Least Jaccard similarity of near duplicates, above 0; left out: 0.8."),
]
EqualOnly = Annotated[bool, typer.Option("--equal-only", help="Drop only documents that are equal.")]
Repeats = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Drop documents that repeat runs of N tokens of others instead."),
]
RepeatedShare = Annotated[
    float | None,
    typer.Option(metavar="SHARE", min=0, max=1, help="With --repeats: least share to drop; left out: 0.5."),
]


@app.command()
def build(
    sources: Sources,
    out: Out,
    tokenizer: TokenizerOf = None,
    field: Field = None,
    workers: Workers = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Tokenize everything in SOURCE into a corpus."""
    from potstill.cli.index_vocabulary import choose_vocabulary
    from potstill.corpus.build import build_corpus
    from potstill.progress import progress_for
    from potstill.runs.execute import sigterm_raises

    progress = progress_for(sys.stderr, quiet=quiet)
    vocabulary = choose_vocabulary(sources, tokenizer, progress)
    passed_over = PassedOverFiles(is_quiet=quiet or json_)
    with sigterm_raises():
        built = build_corpus(sources, out, vocabulary, field=field, workers=workers, progress=progress)
    passed_over(built.passed_over)
    _show(out, json_, "potstill.corpus-build/1", {"passed_over": passed_over.told})


@app.command()
def stats(corpus: Corpus, json_: Json = False) -> None:
    """Show how much is in a corpus, and of what."""
    _show(corpus, json_, "potstill.corpus-stats/1", {})


@app.command()
def dedup(
    corpus: Corpus,
    out: Out,
    similarity: Similarity = None,
    equal_only: EqualOnly = False,
    repeats: Repeats = None,
    repeated_share: RepeatedShare = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Write the corpus without documents that say again what an earlier one says.

    OUT/dropped.jsonl tells which went, where they are from, and which document says the same.
    """
    from potstill.cli.dedup_repeats import drop_repeated
    from potstill.cli.output import say
    from potstill.corpus.deduplicate import deduplicate
    from potstill.corpus.duplicates import DuplicateSettings
    from potstill.progress import progress_for

    _check_dedup(similarity, equal_only, repeats, repeated_share)
    if repeats is not None:
        share = 0.5 if repeated_share is None else repeated_share
        progress = progress_for(sys.stderr, quiet=quiet)
        found = drop_repeated(corpus, out, min_tokens=repeats, share=share, progress=progress)
        _show(out, json_, "potstill.corpus-dedup/1", {"dropped": {"repeats": found}})
        return
    settings = (
        DuplicateSettings(None)
        if equal_only
        else DuplicateSettings(0.8 if similarity is None else similarity)
    )
    done = deduplicate(corpus, out, settings, progress_for(sys.stderr, quiet=quiet))
    if not json_:
        say(f"{done.num_equal:,} equal and {done.num_near:,} near documents of {done.num_before:,} dropped.")
    told = {"dropped": {"equal": done.num_equal, "near": done.num_near}}
    _show(out, json_, "potstill.corpus-dedup/1", told)


def _check_dedup(
    similarity: float | None, equal_only: bool, repeats: int | None, repeated_share: float | None
) -> None:
    """UsageError for options of which one would have no effect."""
    from potstill.errors import UsageError

    if repeats is not None and (similarity is not None or equal_only):
        raise UsageError("--repeats compares runs of tokens, without --similarity and --equal-only.")
    if repeats is None and repeated_share is not None:
        raise UsageError("--repeated-share is of runs of tokens: say how long with --repeats N.")
    if equal_only and similarity is not None:
        raise UsageError("With --equal-only there are no near duplicates. Leave out one of the two options.")


def _show(corpus: Path, as_json: bool, schema: str, more: dict[str, Any]) -> None:
    from potstill.cli.output import print_json, print_table
    from potstill.corpus.stats import corpus_stats
    from potstill.corpus.store import Store

    store = Store(corpus)
    found = corpus_stats(store)
    facts = store.facts.vocabulary
    if as_json:
        vocabulary = {"kind": facts.kind, "size": facts.vocab_size, "fingerprint": facts.fingerprint}
        print_json(schema, {"corpus": str(corpus), "vocabulary": vocabulary, **_told(found), **more})
        return
    tokens = "bytes" if facts.kind == "bytes" else f"tokenizer of {facts.vocab_size:,}"
    print_table(("corpus", str(corpus)), [("tokens are", tokens), *_rows(found)], right=())


def _told(found: "CorpusStats") -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(found), "bytes_a_token": found.bytes_a_token}


def _rows(found: "CorpusStats") -> list[tuple[str, str]]:
    from potstill.cli.output import format_bytes

    a_token = found.bytes_a_token
    return [
        ("documents", f"{found.num_documents:,} ({found.num_empty:,} empty)"),
        ("tokens", f"{found.num_tokens:,}"),
        ("text", format_bytes(found.num_bytes)),
        ("bytes a token", "" if a_token is None else f"{a_token:.2f}"),
        ("width", f"{found.symbol_bytes} bytes a token"),
        ("longest", f"{found.longest:,} tokens"),
        ("sources", ", ".join(f"{count:,} {kind}" for kind, count in found.sources.items())),
        ("on disk", format_bytes(found.folder_bytes)),
    ]


app.command()(decontaminate)
