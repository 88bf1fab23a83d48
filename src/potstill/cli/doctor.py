"""`potstill doctor`: what this machine has and lacks."""

import typer

from potstill.cli.options import Json


def doctor(json_: Json = False) -> None:
    """Say what this machine has and lacks, and the command that gets what is missing."""
    from potstill.cli.checks import run_checks
    from potstill.cli.configuration import apply_hub, load_configuration
    from potstill.cli.output import print_json, print_table, say

    user = load_configuration().settings
    apply_hub(user.hub)
    checks = run_checks(user.paths.runs)
    missing = [check for check in checks if check.state == "missing"]
    if json_:
        print_json(
            "potstill.doctor/1", {"checks": [check._asdict() for check in checks], "is_ready": not missing}
        )
    else:
        print_table(("check", "state", "found"), [check[:3] for check in checks])
        for check in checks:
            if check.fix:
                say(f"{check.name}: {check.fix}")
    if missing:
        raise typer.Exit(4)
