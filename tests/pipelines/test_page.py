"""The examples of docs/pipelines.md give what the page shows."""

import re
import subprocess
import sys

import pytest

from source_tree import ROOT

PAGE = (ROOT / "docs" / "pipelines.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize(("source", "shown"), EXAMPLES)
def test_an_example_prints_what_the_page_shows(source: str, shown: str) -> None:
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout == shown and len(EXAMPLES) == 4


def test_every_argument_the_page_names_is_one() -> None:
    """Of the paragraph that lists those of `generate`."""
    from potstill.pipelines.drawing import SAMPLING_ARGUMENTS

    (paragraph,) = re.findall(r"The arguments of transformers' `generate` .*?\n\n", PAGE, re.DOTALL)
    named = set(re.findall(r"`(\w+)`", paragraph.partition("Given to")[0])) - {"generate", "max_length"}
    assert named == set(SAMPLING_ARGUMENTS)
