"""The kernels' own test program, built with warnings as errors, plain and under the sanitizers."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def cmake() -> str:
    """The one of this environment, else the system's."""
    try:
        import cmake as package
    except ImportError:
        found = shutil.which("cmake")
        assert found, "the native tests need cmake: install the dependency group dev"
        return found
    return str(Path(package.CMAKE_BIN_DIR) / "cmake")


def build_and_run(folder: Path, target: str, *options: str) -> str:
    configure = [cmake(), "-S", ROOT, "-B", folder, "-DPOTSTILL_PYTHON=OFF", "-DPOTSTILL_TESTS=ON", *options]
    build = [cmake(), "--build", folder, "-j2", "--target", target]
    for command in (configure, build, [folder / "native/tests" / target]):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("target", "options"),
    [
        pytest.param("native_tests", (), id="optimised"),
        pytest.param("native_tests", ("-DPOTSTILL_SANITIZE=ON",), id="sanitized"),
        pytest.param(
            # The index knows neither OpenMP nor clones: it would be built the same again.
            "native_kernel_tests",
            ("-DCMAKE_DISABLE_FIND_PACKAGE_OpenMP=ON", "-DPOTSTILL_HAS_CLONES=OFF"),
            id="plain",
        ),
    ],
)
def test_the_native_test_program_passes(tmp_path, target, options):
    assert build_and_run(tmp_path, target, *options) == "native tests passed\n"
