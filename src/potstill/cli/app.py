"""All commands in one Typer program. Their modules are light: heavy imports stand inside the commands."""

from typing import Annotated

import typer

from potstill.cli import chat, config, corpus, distill, doctor, generate, index, model, run

app = typer.Typer(
    name="potstill",
    help="Small language models that do one job well, made from your own text, on your own machine.",
    no_args_is_help=True,
    add_completion=True,
    # Unexpected exceptions are for us: a plain traceback can be copied into a report.
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from potstill import __version__

        print(f"potstill {__version__}")
        raise typer.Exit


@app.callback()
def potstill(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Small language models that do one job well, made from your own text, on your own machine."""


app.command()(distill.distill)
app.command()(generate.generate)
app.command()(chat.chat)
app.add_typer(corpus.app, name="corpus")
app.add_typer(index.app, name="index")
app.add_typer(run.app, name="run")
app.add_typer(model.app, name="model")
app.command()(doctor.doctor)
app.add_typer(config.app, name="config")
