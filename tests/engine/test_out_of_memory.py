import pytest
import torch

from potstill.engine.out_of_memory import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17.11 GB)"),
    ],
    ids=str,
)
def test_every_way_to_run_out_of_memory_is_known(error):
    assert is_out_of_memory(error)


def test_what_torch_itself_raises_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), KeyboardInterrupt(), ValueError("memory")])
def test_other_errors_are_not_taken_for_it(error):
    assert not is_out_of_memory(error)
