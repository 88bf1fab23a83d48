"""potstill makes small language models that do one job well, from your own text, on your own machine.

Nothing heavy is imported until a name is used, so that `potstill --version` answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from potstill.errors import PotstillError as PotstillError
    from potstill.pipelines.make import pipeline as pipeline

# Public name -> the module that defines it. Nothing inside the package imports from here.
_HOMES = {
    "PotstillError": "potstill.errors",
    "pipeline": "potstill.pipelines.make",
}

__all__ = ["PotstillError", "__version__", "pipeline"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"potstill has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
