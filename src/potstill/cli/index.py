"""`potstill index`: count any n-gram of a corpus, see what follows it and where it stands."""

import typer

from potstill.cli import index_read, index_trace, index_write

app = typer.Typer(
    help="Index texts, and ask how often anything occurs and what follows.", no_args_is_help=True
)

app.command()(index_write.build)
app.command()(index_write.add)
app.command()(index_write.delete)
app.command()(index_write.merge)
app.command()(index_write.verify)
app.command()(index_write.stats)
app.command()(index_read.count)
app.command()(index_read.find)
app.command()(index_read.prob)
app.command("next")(index_read.next_)
app.command()(index_read.infgram)
app.command()(index_read.search)
app.command()(index_trace.trace)
