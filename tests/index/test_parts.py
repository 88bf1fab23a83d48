"""How a stream is cut into parts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

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


def test_parts_are_of_about_one_size() -> None:
    borders = np.arange(0, 1001, 10)
    sizes = [part.stop - part.first for part in plan_parts(borders, 330)]
    assert sizes == [250, 250, 250, 250]
