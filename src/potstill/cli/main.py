"""Where the command starts: the fast path, and what an exception becomes.

A PotstillError is one line and its exit code; anything else is our own mistake and keeps its traceback.
"""

import errno
import os
import sys
from collections.abc import Sequence
from itertools import takewhile
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _never_fail_on_characters()
    _spin_less()
    _run(arguments)


def _run(arguments: Sequence[str]) -> None:
    from potstill.errors import MissingError, PotstillError

    # What stands after `--` is an argument, such as a prompt, whatever it looks like.
    wants_json = "--json" in takewhile(lambda argument: argument != "--", arguments)
    try:
        try:
            _call(arguments, for_json=wants_json)
        finally:
            # Here, where a full disk or a reader that went away can still be told apart from a mistake.
            sys.stdout.flush()
    except PotstillError as error:
        _end(str(error), type(error).__name__, error.exit_code, as_json=wants_json)
    except BrokenPipeError:
        _discard_output()
        raise SystemExit(1) from None
    except OSError as error:
        problem = _system_problem(error)
        if problem is None:
            raise
        _end(problem, MissingError.__name__, MissingError.exit_code, as_json=wants_json)


def _call(arguments: Sequence[str], *, for_json: bool) -> None:
    if arguments == ["--version"]:
        from potstill import __version__

        print(f"potstill {__version__}")
        return
    from potstill.cli.app import app

    if for_json:
        _run_for_json(arguments)
    else:
        app(arguments, prog_name="potstill")


def _end(message: str, kind: str, exit_code: int, *, as_json: bool) -> NoReturn:
    from potstill.cli.output import show_error

    try:
        show_error(message, kind, exit_code, as_json=as_json)
        sys.stdout.flush()
    except OSError:
        _discard_output()
        if as_json:
            # It is stdout that cannot be written, so JSON has nowhere to go.
            show_error(message, kind, exit_code, as_json=False)
    raise SystemExit(exit_code) from None


def _discard_output() -> None:
    """What is left in stdout's buffer goes nowhere, so that the interpreter can end without a complaint."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return f"The system takes no such path{place} ({said}). Name another one."
    if error.errno == errno.EIO:
        return (
            f"The disk failed{place} ({said}). Check it and run the same command again; "
            f"what is finished is kept."
        )
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
    """A terminal that cannot show a character gets an escape; a closed stream swallows what is written."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  (open until the process ends)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")
