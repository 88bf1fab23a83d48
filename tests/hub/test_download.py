"""What a server says it sends."""

import httpx2
import pytest

from potstill.hub.download import _sent_range


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Content-Range": "bytes 5-9/10"}, (5, 10)),
        ({"Content-Range": "bytes 5-9/*"}, (5, None)),
        ({"Content-Length": "10"}, (0, 10)),
        ({"Content-Length": "10", "Content-Encoding": "identity"}, (0, None)),
        ({}, (0, None)),
        ({"Content-Range": f"bytes {'9' * 5000}-9/*"}, (0, None)),
        ({"Content-Length": "9" * 5000}, (0, None)),
    ],
)
def test_a_range_is_read_and_what_is_none_says_nothing(headers, expected):
    assert _sent_range(httpx2.Response(206, headers=headers)) == expected
