"""`potstill generate`: let a model write, from the shell."""

import sys
from typing import Annotated

import typer

from potstill.cli.options import Device, Json, Quiet, Threads


def generate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A folder, a GGUF file, a run's folder, a hub id or gemma-3-270m."
        ),
    ],
    prompts: Annotated[list[str], typer.Argument(metavar="PROMPT", help="What to go on from.")],
    max_tokens: Annotated[int | None, typer.Option(metavar="N", help="New tokens at most.")] = None,
    temperature: Annotated[
        float | None, typer.Option(metavar="T", help="0 always takes the likeliest token.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(metavar="P", help="Draw from the likeliest tokens with this much probability."),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(metavar="K", help="Draw from so many of the likeliest tokens; 0 from all.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="The same seed gives the same text.")] = None,
    stop: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="End where this is written. Repeatable.")
    ] = None,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Continue each PROMPT.

    A student made by distill gets its task's instruction around the prompt; any other model gets the prompt
    as it is.
    """
    from potstill.cli.configuration import apply_hub, load_configuration
    from potstill.cli.writing import open_writer, show_completions, show_stream
    from potstill.progress import progress_for

    user = load_configuration().settings
    apply_hub(user.hub)
    from potstill.devices import use_threads

    use_threads(threads or user.device.threads)
    changes = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "seed": seed,
        "stop": tuple(stop) if stop else None,
    }
    writer = open_writer(
        model,
        device=device or user.device.name,
        changes=changes,
        progress=progress_for(sys.stderr, quiet=quiet),
    )
    if len(prompts) == 1 and sys.stdout.isatty() and not json_:
        show_stream(writer, prompts[0])
    else:
        show_completions(writer, prompts, as_json=json_)
