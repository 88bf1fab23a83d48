"""`potstill generate`: let a model write, from the shell."""

import sys
from collections.abc import Mapping, Sequence
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
    dtype: Dtype = None,
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
    drawing = {"temperature": temperature, "top_p": top_p, "top_k": top_k, "seed": seed}
    if num_beams is not None and num_beams > 1:
        _refuse_drawing(drawing)
    ends = {"max_tokens": max_tokens, "stop": tuple(stop) if stop else None}
    changes = {**drawing, **ends, "n": num_samples, "num_beams": num_beams}
    progress = progress_for(sys.stderr, quiet=quiet)
    machine = {"device": use_machine(device, threads), "dtype": dtype}
    writer = open_writer(model, revision=revision, changes=changes, progress=progress, **machine)
    is_one_text = len(prompts) * writer.sampling.n == 1
    if is_one_text and sys.stdout.isatty() and not json_:
        show_stream(writer, prompts[0])
    else:
        show_completions(writer, prompts, as_json=json_)


def _refuse_drawing(options: Mapping[str, object]) -> None:
    from potstill.errors import UsageError

    for name, value in options.items():
        if value is not None:
            raise UsageError(
                f"--{name.replace('_', '-')} is about drawing and --num-beams searches. Drop one."
            )


def _refuse_broken_characters(texts: Sequence[str]) -> None:
    from potstill.errors import UsageError

    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{text!r} is not UTF-8. Convert it before it is given as a text.") from None
