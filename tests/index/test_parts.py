"""How a stream is cut into parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.errors import RefusedError
from potstill.index.parts import plan_parts


@given(st.lists(st.integers(1, 30), max_size=30), st.integers(1, 60))
def test_parts_cover_the_stream_and_end_at_documents_where_they_can(lengths: list[int], most: int) -> None:
    borders = np.cumsum([0, *lengths])
    parts = plan_parts(borders.astype(np.int64), most)
    assert [part.first for part in parts] == [0, *(part.stop for part in parts[:-1])][: len(parts)]
    assert (parts[-1].stop if parts else 0) == borders[-1]
    for part in parts:
        assert 0 < part.stop - part.first <= most
        is_inside = part.stop not in borders
        assert part.ends_inside == is_inside
        if is_inside:
            assert not any(part.first < border <= part.first + most for border in borders)


def test_the_same_stream_gives_the_same_names() -> None:
    borders = np.array([0, 5, 9, 30], np.int64)
    names = [part.file_name for part in plan_parts(borders, 10)]
    assert names == [part.file_name for part in plan_parts(borders, 10)]
    assert len(set(names)) == len(names) == 4


def test_no_memory_for_a_symbol_is_told() -> None:
    with pytest.raises(RefusedError, match="--memory"):
        plan_parts(np.array([0, 5]), 0)
