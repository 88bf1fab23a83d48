"""Where the command starts: the fast path, and what an exception becomes.

A PotstillError is one line and its exit code; anything else is our own mistake and keeps its traceback.
"""

import errno
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments == ["--version"]:
        from potstill import __version__

        print(f"potstill {__version__}")
        return
    _never_fail_on_characters()
    _spin_less()
    _run(arguments)


def _run(arguments: Sequence[str]) -> None:
    from potstill.cli.app import app
    from potstill.cli.output import show_error
    from potstill.errors import MissingError, PotstillError

    wants_json = "--json" in arguments
    try:
        if wants_json:
            _run_for_json(arguments)
        else:
            app(arguments, prog_name="potstill")
    except PotstillError as error:
        show_error(str(error), type(error).__name__, error.exit_code, as_json=wants_json)
        raise SystemExit(error.exit_code) from None
    except OSError as error:
        problem = _system_problem(error)
        if problem is None:
            raise
        show_error(problem, "MissingError", MissingError.exit_code, as_json=wants_json)
        raise SystemExit(MissingError.exit_code) from None


def _system_problem(error: OSError) -> str | None:
    """What the machine refused, where the user can do something about it."""
    place = f" at {error.filename}" if error.filename else ""
    said = (error.strerror or "").lower()
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"No room left{place}. Free some space and run the same command again; what is finished is kept."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"The system refuses access{place} ({said}). Use a folder of your own, such as with --out."
    return None


def _run_for_json(arguments: Sequence[str]) -> None:
    """As above, but a usage error is raised here, where it can become JSON, instead of printed by Typer."""
    import typer

    from potstill.cli.app import app
    from potstill.errors import UsageError

    # Typer does not export the class of a usage error, only some that derive from it.
    usage_problem: type[typer.BadParameter] = typer.BadParameter.__base__  # type: ignore[assignment]
    try:
        code = app(arguments, prog_name="potstill", standalone_mode=False)
    except usage_problem as problem:
        raise UsageError(problem.format_message()) from None
    except typer.Abort:
        raise SystemExit(1) from None
    if isinstance(code, int) and code:
        raise SystemExit(code)


def _spin_less() -> None:
    """Before torch is imported, since OpenMP reads its settings once: do not wait at full speed for long.

    A thread of libgomp that waits for the others checks 300,000 times, about 15 ms, before it sleeps. On a
    machine with other work it keeps the very thread it waits for off the core. A thirtieth of that still
    bridges the gaps between the kernels of a layer. Who has chosen a policy keeps it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def _never_fail_on_characters() -> None:
    """A terminal that cannot show a character gets an escape, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")
