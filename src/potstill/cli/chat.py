"""`potstill chat`: talk with a model in the terminal, or line by line through a pipe."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from potstill.cli.generate import Dtype, MaxTokens, Seed, Temperature, TopP
from potstill.cli.options import Device, Model, Quiet, Revision, Threads

PersonaFile = Annotated[
    Path | None,
    typer.Option("--persona", metavar="FILE", help="A text whose last two lines are `name: what it said`."),
]
TranscriptFile = Annotated[
    Path | None,
    typer.Option("--transcript", metavar="FILE", help="Keep the chat here, and go on from what is kept."),
]


def chat(
    model: Model,
    persona: PersonaFile = None,
    transcript: TranscriptFile = None,
    revision: Revision = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    seed: Seed = None,
    dtype: Dtype = None,
    device: Device = None,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Answer questions, one a line, until an empty line.

    The line `reset` begins the chat anew. Ctrl-C gives up an answer; while nothing is being answered it ends
    the chat. A model that was taught to chat is asked by its own template, any other, and every model with
    --persona, by a text that goes on.
    """
    from potstill.cli.chat_session import ChatSession
    from potstill.cli.writing import open_writer, use_machine
    from potstill.pipelines.chat_bot import CHAT_SAMPLING, chat_with
    from potstill.pipelines.persona import read_persona
    from potstill.progress import progress_for

    who = read_persona(persona) if persona else None
    given = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}
    changes = {
        name: getattr(CHAT_SAMPLING, name) if value is None else value for name, value in given.items()
    }
    progress = progress_for(sys.stderr, quiet=quiet)
    machine: dict[str, Any] = {"device": use_machine(device, threads), "dtype": dtype}
    writer = open_writer(model, revision=revision, changes=changes, progress=progress, **machine)
    # Every prompt begins as the one before, and nobody trains this model.
    writer.generator.keeps_cache = True
    bot = chat_with(writer.generator, who, writer.sampling, transcript=transcript)
    raise typer.Exit(ChatSession(bot).run())
