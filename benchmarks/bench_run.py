"""What did a finished run cost, and what came of it?

Reads a run's folder: time and memory of every stage, the funnel, the thresholds with how well they separate
true from shuffled pairs, and the comparison of its systems with intervals. Baselines stand in it: the plain
prompt, the few-shot teacher, the source cut short and its first clause. The ceiling is 1.

    python benchmarks/bench_run.py runs/NAME --out benchmarks/results/run_NAME.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

from provenance import provenance

from potstill.files import read_json
from potstill.runs.execute import LEDGER_NAME, RECIPE_NAME
from potstill.runs.ledger import Ledger
from potstill.runs.recipe import read_recipe
from potstill.runs.stages import evaluation, pairs, verdicts

SHARES = (evaluation.ALL_CRITICS, evaluation.INDEPENDENT)


def collect(run: Path) -> dict[str, Any]:
    with Ledger.read(run / LEDGER_NAME) as ledger:
        rows = ledger.stages()
    folders = {row.name: run / "stages" / f"{row.name}-{row.fingerprint[:12]}" for row in rows}
    costs = {
        row.name: {"seconds": row.seconds, "peak_bytes": row.peak_bytes}
        for row in rows
        if row.seconds is not None
    }
    funnel = pairs.read_funnel(folders["pairs"])
    scores = read_json(folders["evaluation"] / evaluation.FILE)
    return {
        "subject": "run",
        "run": read_recipe(run / RECIPE_NAME).run.name,
        "stages": costs,
        "seconds": sum(cost["seconds"] for cost in costs.values()),
        "peak_bytes": max(cost["peak_bytes"] for cost in costs.values()),
        "funnel": {name: funnel[name] for name in ("num_candidates", "num_kept", "losses")},
        "thresholds": read_json(folders["thresholds"] / verdicts.FILE),
        "comparison": scores,
        "student_over_few_shot": {name: ratio(scores, name, evaluation.FEW_SHOT) for name in SHARES},
        "student_over_plain": {name: ratio(scores, name, evaluation.PLAIN) for name in SHARES},
        **provenance(),
    }


def ratio(comparison: dict[str, Any], figure: str, system: str) -> float | None:
    def mean(name: str) -> float:
        value: float = comparison["scores"][name][figure]["interval"]["mean"]
        return value

    return mean(evaluation.STUDENT_SYSTEM) / mean(system) if mean(system) else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    found = collect(asked.run)
    print(f"{found['seconds'] / 60:.1f} min, {found['peak_bytes'] / 2**30:.2f} GiB at most")
    print(f"{found['funnel']['num_kept']:,} of {found['funnel']['num_candidates']:,} candidates kept")
    for system, figures in found["comparison"]["scores"].items():
        cells = [
            f"{name} {100 * figures[name]['interval']['mean']:.1f}% "
            f"({100 * figures[name]['interval']['low']:.1f} to {100 * figures[name]['interval']['high']:.1f})"
            for name in SHARES
        ]
        print(f"  {system:28} {'; '.join(cells)}")
    print(json.dumps({"student_over_few_shot": found["student_over_few_shot"]}))
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
