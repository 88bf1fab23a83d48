"""How fast this machine reads memory with the threads it is given: the ceiling of a step's weights."""

from potstill.peaks import read_rate

_SECONDS = 1.0


def bandwidths(weight_bytes: int) -> dict[str, float]:
    """Over a buffer of the weights' size, which a large cache may hold in part, and over 1 GiB."""
    return {
        "of_the_weights_size_gb_per_s": read_rate(weight_bytes, _SECONDS) / 1e9,
        "of_1_gib_gb_per_s": read_rate(1 << 30, _SECONDS) / 1e9,
    }
