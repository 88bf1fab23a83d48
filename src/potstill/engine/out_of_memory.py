"""Whether an error says that memory ran out, whoever raised it."""

import torch

# What torch's allocators say where they raise a plain RuntimeError.
_SAYINGS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


def is_out_of_memory(error: BaseException) -> bool:
    """Python's, torch's and CUDA's ways to say it."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(saying in said for saying in _SAYINGS)
