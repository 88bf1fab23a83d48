"""CommonGen (Lin et al. 2020): a few words, and a sentence that holds a form of each.

A base model is shown some items with their sentences before the one it is asked about. Those, and all that
settings were chosen on, are among the last hundred of the file; what is reported is taken evenly from the
rest, so that items of three, four and five words are as frequent as in the file, which is ordered by them.
"""

import gzip
import json
from pathlib import Path
from typing import Any, NamedTuple

from potstill.types import Clauses, Phrase

NUM_KEPT_APART = 100
# Counted from the end of the file.
DEMONSTRATIONS = (-9, -29, -48, -80, -58)


class Item(NamedTuple):
    """`clauses`: for each word its forms, as the data set lists them, of which one must be in the text."""

    prompt: str
    clauses: Clauses
    references: tuple[str, ...]


def load_items(path: Path, count: int) -> list[Item]:
    """The items to report, at most all but those kept apart."""
    records = _records(path)
    num_reported = len(records) - NUM_KEPT_APART
    count = min(count, num_reported)
    return [_item(records, index * num_reported // count) for index in range(count)]


def load_tuning_items(path: Path, count: int) -> list[Item]:
    """Items to choose settings on, none of them shown in prompts."""
    records = _records(path)
    shown = {len(records) + index for index in DEMONSTRATIONS}
    apart = [index for index in range(len(records) - NUM_KEPT_APART, len(records)) if index not in shown]
    return [_item(records, index) for index in apart[:: max(1, len(apart) // count)][:count]]


def _records(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _item(records: list[dict[str, Any]], index: int) -> Item:
    shown = [_shown(records[place]) + f" {records[place]['references'][0]}\n\n" for place in DEMONSTRATIONS]
    record = records[index]
    clauses = tuple(tuple(map(Phrase, sorted(forms))) for forms in record["constraints"])
    return Item("".join(shown) + _shown(record), clauses, tuple(record["references"]))


def _shown(record: dict[str, Any]) -> str:
    return f"Words: {', '.join(record['concepts'])}\nSentence:"
