import numpy as np
import pytest

from potstill.corpus.symbols import bytes_for, read_symbols, symbol_bytes


@pytest.mark.parametrize(
    ("vocab_size", "width"),
    [
        (1, 1),
        (255, 1),
        (256, 2),
        (65535, 2),
        (65536, 3),
        (262_144, 3),
        (2**24 - 1, 3),
        (2**24, 4),
        (2**32 - 2, 4),
    ],
)
def test_symbols_take_the_narrowest_width_and_come_back(vocab_size, width):
    assert bytes_for(vocab_size) == width
    symbols = np.array([0, 1, vocab_size, vocab_size // 2, 0], np.uint32)
    content = symbol_bytes(symbols, width)
    assert len(content) == width * len(symbols)
    assert [
        int.from_bytes(content[place : place + width], "little") for place in range(0, len(content), width)
    ] == symbols.tolist()
    assert read_symbols(np.frombuffer(content, np.uint8), width).tolist() == symbols.tolist()
