from pathlib import Path

import pytest

from potstill.errors import ConfigError, DamagedError
from potstill.files import write_json
from potstill.tasks.student import StudentCard, read_card, write_card
from potstill.types import SamplingParams


def test_a_card_reads_back_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    folder = tmp_path
    card = StudentCard(task="t", prompt_template="{source}", sampling=SamplingParams(stop=("a",)))
    write_card(folder, card)
    assert read_card(folder) == card and read_card(folder / "none") is None
    no_place = {"format": 1, "task": "t", "prompt_template": "x"}
    wrong_cards: list[object] = [[], {"format": 2}, {"format": 1, "task": "t"}, no_place]
    for wrong in wrong_cards:
        write_json(folder / "potstill.json", wrong)
        with pytest.raises(DamagedError, match="potstill.json"):
            read_card(folder)
    with pytest.raises(ConfigError, match="exactly once"):
        StudentCard(task="t", prompt_template="{source} {source}")
