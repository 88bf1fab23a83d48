"""Resolve each MODEL given (`name` or `name@revision`) and print what came of it, a JSON line each."""

import json
import sys

from potstill.errors import PotstillError
from potstill.hub.resolve import resolve
from potstill.progress import Lines


def main() -> None:
    for argument in sys.argv[1:]:
        name, _, revision = argument.partition("@")
        try:
            model = resolve(name, revision=revision or None, progress=Lines())
            answer = {"path": str(model.path), "origin": model.origin, "revision": model.revision}
        except PotstillError as error:
            answer = {"error": str(error), "kind": type(error).__name__, "exit_code": error.exit_code}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
