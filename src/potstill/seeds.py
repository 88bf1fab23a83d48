"""Randomness is handed in, made from (run seed, purpose), never global."""

import hashlib

import numpy as np


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that depends on `seed` and each part of `purpose`, the same on every machine."""
    text = "\x1f".join([str(seed), *(f"{type(part).__name__}:{part}" for part in purpose)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def random_generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A NumPy generator for one purpose; Philox, whose stream is fixed by its key."""
    return np.random.Generator(np.random.Philox(key=derive_seed(seed, *purpose)))
