"""Buckets against the published formula, written out for one distance, and the table by distance."""

import math

import pytest
import torch

from potstill.layers.relative_bias import RelativeBias


def bucket_of(distance: int, num_buckets: int, max_distance: int, bidirectional: bool) -> int:
    first = 0
    if bidirectional:
        num_buckets //= 2
        first = num_buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    num_exact = num_buckets // 2
    if distance < num_exact:
        return first + distance
    share = math.log(distance / num_exact) / math.log(max_distance / num_exact)
    return first + min(num_exact + int(share * (num_buckets - num_exact) + 1e-6), num_buckets - 1)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("num_buckets", "max_distance"), [(32, 128), (8, 20), (4, 3)])
def test_buckets_follow_the_published_formula(
    num_buckets: int, max_distance: int, bidirectional: bool
) -> None:
    bias = RelativeBias(num_buckets, max_distance, 1, bidirectional=bidirectional)
    expected = [bucket_of(d, num_buckets, max_distance, bidirectional) for d in range(-300, 301)]
    assert bias.buckets(torch.arange(-300, 301)).tolist() == expected


@pytest.mark.parametrize("num_positions", [1, 2, 5, 8, 33])
def test_the_table_holds_the_bucket_of_every_distance(num_positions: int) -> None:
    bias = RelativeBias(8, 20, 3, bidirectional=True)
    got = bias(num_positions)
    M = (got.shape[1] + 1) // 2
    assert num_positions <= M and got.shape[0] == 3 and got.dtype == torch.float32
    for distance in range(1 - M, M):
        assert torch.equal(got[:, M - 1 + distance], bias.weight[bucket_of(distance, 8, 20, True)])
