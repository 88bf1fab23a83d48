"""A build keeps to the memory that it was given; the system refuses more."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

BUILD = """
import resource, sys
from pathlib import Path
import numpy, pyarrow, tokenizers
from potstill import _native
from potstill.corpus.vocabulary import ByteVocabulary
from potstill.index.build import BuildSettings, build_index
source, index, budget, threads = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
# Private writable memory, whether touched or not: more than any measure of what is held.
resource.setrlimit(resource.RLIMIT_DATA, (budget, budget))
manifest = build_index([source], index, ByteVocabulary(), BuildSettings(budget, num_workers=threads))
assert manifest.num_tokens > budget // 6
"""


BUDGET = 256 << 20
# At once, sorting takes five bytes for each of these.
NUM_BYTES = BUDGET // 5


def one_long_document(folder: Path) -> None:
    letters = np.random.default_rng(1).integers(97, 117, NUM_BYTES, dtype=np.uint8)
    (folder / "long.txt").write_bytes(letters.tobytes())


def many_alike(folder: Path) -> None:
    text = "".join(
        f"line {number} of a text that repeats, {number % 977} times\n" for number in range(20_000)
    )
    for number in range(NUM_BYTES // len(text)):
        (folder / f"{number:04}.txt").write_text(f"{number}\n{text}")


@pytest.mark.slow
@pytest.mark.parametrize(("texts", "threads"), [(one_long_document, 1), (many_alike, 2)])
def test_a_build_stays_within_its_memory(tmp_path: Path, texts: Callable[[Path], None], threads: int) -> None:
    source = tmp_path / "texts"
    source.mkdir()
    texts(source)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(source), str(tmp_path / "index"), str(BUDGET), str(threads)],
        capture_output=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
