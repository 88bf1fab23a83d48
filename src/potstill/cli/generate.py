"""`potstill generate`: let a model write, from the shell."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from potstill.cli.options import Device, Json, Model, Quiet, Revision, Threads

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
Stop = Annotated[
    list[str] | None, typer.Option(metavar="TEXT", help="End where this is written. Repeatable.")
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
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Continue each PROMPT.

    A student made by distill gets the prompt between its task's two labels, as it was trained; any other
    model gets the prompt as it is.
    """
    from potstill.cli.writing import open_writer, show_completions, show_stream, use_machine
    from potstill.progress import progress_for

    _refuse_broken_characters([*prompts, *(stop or [])])
    values = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "top_k": top_k}
    changes = {**values, "seed": seed, "stop": tuple(stop) if stop else None}
    device = use_machine(device, threads)
    writer = open_writer(
        model,
        revision=revision,
        device=device,
        changes=changes,
        progress=progress_for(sys.stderr, quiet=quiet),
    )
    if len(prompts) == 1 and sys.stdout.isatty() and not json_:
        show_stream(writer, prompts[0])
    else:
        show_completions(writer, prompts, as_json=json_)


def _refuse_broken_characters(texts: Sequence[str]) -> None:
    from potstill.errors import UsageError

    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{text!r} is not UTF-8. Convert it before it is given as a text.") from None
