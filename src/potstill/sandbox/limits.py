"""What a worker may use."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one worker may take.

    wall_s          seconds a request may take, > 0; then the worker is killed
    cpu_s           whole seconds of processor time that all requests of one worker may take together, >= 2
    memory_bytes    address space beside what the started interpreter has
    request_bytes   a request at most
    reply_bytes     an answer at most
    output_chars    characters of each text that a request gives back
    """

    wall_s: float = 1.0
    cpu_s: int = 20
    memory_bytes: int = 64 << 20
    request_bytes: int = 4 << 20
    reply_bytes: int = 16 << 20
    output_chars: int = 1 << 20
