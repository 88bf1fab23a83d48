"""Where figures come from: kept with every result."""

import subprocess
from typing import Any

from potstill.devices import describe_machine


def provenance() -> dict[str, Any]:
    """The machine and the commit that is checked out."""
    asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    return {"machine": describe_machine(), "commit": asked.stdout.strip()}
