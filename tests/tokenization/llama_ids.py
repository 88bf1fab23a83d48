"""What llama.cpp makes of the ten thousand lines, kept as a hash or two a line.

Run where llama-cpp-python is installed (group `oracles`), from the repository's root:

    python tests/tokenization/llama_ids.py PATH/TO/gemma-3-270m-q4_k_m.gguf
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).with_name("golden_gemma_ids.txt")


def hash_of_ids(ids: Sequence[int]) -> str:
    return hashlib.blake2b(" ".join(map(str, ids)).encode(), digest_size=4).hexdigest()


def hash_of_lines(lines: Sequence[str]) -> str:
    return hashlib.sha256("\x00".join(lines).encode()).hexdigest()


def llama_vocabulary(path: Path) -> Any:
    from llama_cpp import Llama

    return Llama(str(path), vocab_only=True, verbose=False)


def entry_for(llama: Any, line: str) -> str:
    """The hash of the ids; where they differ when special tokens are read, that hash after a space."""
    plain, special = (
        hash_of_ids(llama.tokenize(line.encode(), add_bos=False, special=reads_special))
        for reads_special in (False, True)
    )
    return plain if plain == special else f"{plain} {special}"


def main() -> None:
    from many_scripts import lines

    made, llama = lines(), llama_vocabulary(Path(sys.argv[1]))
    entries = [entry_for(llama, line) for line in made]
    GOLDEN.write_text("\n".join([hash_of_lines(made), *entries]) + "\n")


if __name__ == "__main__":
    main()
