"""Options that several commands share, spelt and described once."""

from typing import Annotated

import typer

from potstill.devices import MAX_THREADS

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A folder, a GGUF file, a run's folder, a hub id, an ms:// id or gemma-3-270m."
    ),
]
Revision = Annotated[str | None, typer.Option(metavar="REV", help="A branch, tag or commit of a hub id.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object with a `schema`.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
Device = Annotated[
    str | None, typer.Option(metavar="NAME", help="cpu, cuda or cuda:N; left out: the best one there is.")
]
Threads = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=MAX_THREADS, help="CPU threads; left out: one for each core."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Change one value of the recipe. Repeatable."),
]
