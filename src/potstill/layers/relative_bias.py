"""Attention's learned bias by the distance between query and key."""

import math

import torch
from torch import Tensor, nn

from potstill.layers.initial import drawn


class RelativeBias(nn.Module):
    """A number a head for each bucket of distances (Raffel et al. 2020, arXiv:1910.10683, section 2.1).

    Half of a direction's buckets hold one distance each, the rest grow with the logarithm up to
    `max_distance`, beyond which all is one bucket. `bidirectional` splits the buckets between keys before the
    query and keys after it; otherwise keys after it are never seen, and share the bucket of distance 0.
    """

    def __init__(self, num_buckets: int, max_distance: int, num_heads: int, *, bidirectional: bool) -> None:
        super().__init__()
        self.max_distance, self.bidirectional = max_distance, bidirectional
        self.weight = drawn(num_buckets, num_heads)
        # Not a buffer: it follows from the numbers above, and checkpoints do not hold it.
        self._buckets = torch.empty(0, dtype=torch.int64, device="cpu")

    def forward(self, num_positions: int) -> Tensor:
        """[H, 2M - 1] in float32 with M >= num_positions: `bias` as `layers.attention.Attention` takes it."""
        # A round M, so that a text that grows by a token does not ask for other buckets each time.
        M = 1 << (num_positions - 1).bit_length()
        if len(self._buckets) != 2 * M - 1 or self._buckets.device != self.weight.device:
            distances = torch.arange(1 - M, M, device=self.weight.device)
            self._buckets = self.buckets(distances)
        return self.weight.float().index_select(0, self._buckets).T

    def buckets(self, distances: Tensor) -> Tensor:
        """The bucket of each distance, key's position less the query's; int64."""
        num_buckets = self.weight.shape[0]
        first = torch.zeros_like(distances)
        if self.bidirectional:
            num_buckets //= 2
            first = (distances > 0).long() * num_buckets
            distances = distances.abs()
        else:
            distances = (-distances).clamp(min=0)
        num_exact = num_buckets // 2
        # In float32 and in this order of operations, which decides on which side a bucket's border falls.
        share = torch.log(distances.clamp(min=1).float() / num_exact) / math.log(
            self.max_distance / num_exact
        )
        grown = (num_exact + (share * (num_buckets - num_exact)).long()).clamp(max=num_buckets - 1)
        return first + torch.where(distances < num_exact, distances, grown)


def bias_of_distances(bias: Tensor, distances: Tensor) -> Tensor:
    """bias [H, 2M - 1] at distances of any shape from query to key: [H, *shape] in float32. Keys that a query
    cannot see may be further off than the bias reaches."""
    centre = bias.shape[1] // 2
    return bias.float()[:, (distances + centre).clamp(0, bias.shape[1] - 1)]
