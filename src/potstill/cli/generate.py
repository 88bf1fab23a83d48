"""`potstill generate`: let a model write, from the shell."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from potstill.cli.options import Device, Json, Model, Quiet, Revision, Threads
from potstill.cli.phrases import Avoids, Contains, clauses_of

if TYPE_CHECKING:
    from potstill.cli.writing import Writer
    from potstill.types import Grammar

Prompts = Annotated[list[str], typer.Argument(metavar="PROMPT", help="What to go on from.")]
MaxTokens = Annotated[int | None, typer.Option(metavar="N", help="New tokens at most.")]
Temperature = Annotated[float | None, typer.Option(metavar="T", help="0 always takes the likeliest token.")]
TopP = Annotated[
    float | None, typer.Option(metavar="P", help="Draw from the likeliest tokens with this much probability.")
]
TopK = Annotated[
    int | None, typer.Option(metavar="K", help="Draw from so many of the likeliest tokens; 0 from all.")
]
Seed = Annotated[int | None, typer.Option(metavar="N", help="The same seed gives the same text.")]
Samples = Annotated[
    int | None,
    typer.Option("--num-samples", metavar="N", min=1, max=1024, help="So many texts for each prompt."),
]
Beams = Annotated[
    int | None, typer.Option("--num-beams", metavar="N", help="Search with so many beams instead of drawing.")
]
Dtype = Annotated[
    str | None, typer.Option(metavar="NAME", help="Weights in bf16, fp32 or int8; left out: the faster.")
]
Stop = Annotated[
    list[str] | None, typer.Option(metavar="TEXT", help="End where this is written. Repeatable.")
]
GrammarFile = Annotated[
    Path | None,
    typer.Option(
        "--grammar",
        metavar="FILE",
        help="What each text has to look like: a JSON schema or a list of choices (.json), a grammar (.lark) "
        "or a regular expression (.regex, .txt).",
    ),
]
DraftKind = Annotated[
    str | None,
    typer.Option(
        "--draft",
        metavar="KIND",
        help="Guess tokens and check several in a step, for the same texts sooner: prompt-lookup, "
        "infinigram, lookahead, model:MODEL or staged:MODEL.",
    ),
]
DraftIndex = Annotated[
    Path | None, typer.Option("--index", metavar="DIR", help="An index that --draft infinigram reads.")
]


def generate(
    model: Model,
    prompts: Prompts,
    revision: Revision = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    seed: Seed = None,
    stop: Stop = None,
    num_samples: Samples = None,
    num_beams: Beams = None,
    contains: Contains = None,
    avoids: Avoids = None,
    grammar: GrammarFile = None,
    draft: DraftKind = None,
    index: DraftIndex = None,
    dtype: Dtype = None,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Continue each PROMPT.

    A student made by distill gets the prompt between its task's two labels, as it was trained; any other
    model gets the prompt as it is. Where a text does not meet what was asked of it, as where its tokens ran
    out before its grammar let it end, this is told and the exit code is 1.
    """
    _refuse_broken_characters([*prompts, *(stop or []), *(contains or []), *(avoids or [])])
    drawing = {"temperature": temperature, "top_p": top_p, "top_k": top_k, "seed": seed}
    clauses, form = clauses_of(contains, avoids), _read_grammar(grammar)
    _refuse_drawing(drawing, searches=bool(clauses), num_beams=num_beams or 1)
    ends = {"max_tokens": max_tokens, "stop": tuple(stop) if stop else None}
    changes = {**drawing, **ends, "n": num_samples, "num_beams": num_beams}
    machine = {"device": device, "threads": threads, "dtype": dtype, "draft": draft, "index": index}
    writer = _open(model, revision, changes, machine, quiet=quiet)
    _write(replace(writer, grammar=form, clauses=clauses), prompts, as_json=json_)


def _read_grammar(path: Path | None) -> "Grammar | None":
    from potstill.cli.grammar_file import read_grammar

    return None if path is None else read_grammar(path)


def _open(
    model: str, revision: str | None, changes: Mapping[str, Any], machine: Mapping[str, Any], *, quiet: bool
) -> "Writer":
    from potstill.cli.writing import open_writer, use_machine
    from potstill.progress import progress_for

    return open_writer(
        model,
        revision=revision,
        changes=changes,
        progress=progress_for(sys.stderr, quiet=quiet),
        device=use_machine(machine["device"], machine["threads"]),
        dtype=machine["dtype"],
        draft=machine["draft"],
        index=machine["index"],
    )


def _write(writer: "Writer", prompts: Sequence[str], *, as_json: bool) -> None:
    """Exit code 1 where a text does not meet what was asked of it."""
    from potstill.cli.writing import show_completions, show_stream
    from potstill.errors import PotstillError

    is_one_text = len(prompts) * writer.sampling.n == 1
    if is_one_text and sys.stdout.isatty() and not as_json:
        is_met = show_stream(writer, prompts[0])
    else:
        is_met = show_completions(writer, prompts, as_json=as_json)
    if not is_met:
        raise typer.Exit(PotstillError.exit_code)


def _refuse_drawing(options: Mapping[str, object], *, searches: bool, num_beams: int) -> None:
    """What is said about drawing means nothing where phrases or beams are searched for."""
    from potstill.errors import UsageError

    why = "--contains and --avoids search" if searches else "--num-beams searches"
    for name, value in options.items():
        if value is not None and (searches or num_beams > 1):
            raise UsageError(f"--{name.replace('_', '-')} is about drawing, and {why}. Drop one.")


def _refuse_broken_characters(texts: Sequence[str]) -> None:
    from potstill.errors import UsageError

    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{text!r} is not UTF-8. Convert it before it is given as a text.") from None
