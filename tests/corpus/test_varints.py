import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from potstill.corpus.varints import decode_varints, encode_varints, num_varint_bytes, unzigzag, zigzag

NUMBERS = st.lists(st.integers(0, 2**62) | st.integers(0, 300))


def plain(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


@given(NUMBERS)
def test_numbers_are_encoded_as_one_by_one_and_come_back(numbers):
    values = np.array(numbers, np.int64)
    encoded = encode_varints(values)
    assert encoded.tobytes() == b"".join(map(plain, numbers))
    assert decode_varints(encoded).tolist() == numbers
    assert num_varint_bytes(values).tolist() == [len(plain(number)) for number in numbers]


@given(st.lists(st.integers(-(2**61), 2**61) | st.integers(-3, 3)))
def test_signed_numbers_come_back(numbers):
    values = np.array(numbers, np.int64)
    assert unzigzag(zigzag(values)).tolist() == numbers
    assert (zigzag(values) >= 0).all()


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content):
    values = decode_varints(np.frombuffer(content, np.uint8))
    if values is None:
        return
    assert int((np.frombuffer(content, np.uint8) < 0x80).sum()) == len(values)
