"""Tries grammars: one that explodes ends this process, and nothing else. Runs in a worker only.

A grammar has little time and stack, and the worker dies where they are used up; the signal says of what.
"""

import signal
import threading
from time import thread_time
from typing import TYPE_CHECKING, Any, cast

from llguidance import LLMatcher, LLTokenizer

from potstill.constraints.limits import TRIAL_CPU_S, TRIAL_STACK_BYTES, parser_limits
from potstill.sandbox.limits import SandboxLimits
from potstill.sandbox.worker import serve

if TYPE_CHECKING:
    from llguidance._tokenizer import TokenizerWrapper

_WALK_STEPS = 200
_WALK_S = 0.03


class _Bytes:
    """A vocabulary of the 256 bytes and an end."""

    is_tokenizer_wrapper = True
    bos_token_id = None
    eos_token_id = 256
    special_token_ids = (256,)
    tokens = (*(bytes([byte]) for byte in range(256)), b"")

    def __call__(self, text: str) -> list[int]:
        return list(text.encode())


def main(limits: SandboxLimits) -> None:
    # In a thread, since its stack is as small as it is told to be.
    threading.stack_size(TRIAL_STACK_BYTES)
    served = threading.Thread(target=_serve, args=(limits,))
    served.start()
    served.join()


def _serve(limits: SandboxLimits) -> None:
    tokenizer = LLTokenizer(cast("TokenizerWrapper", _Bytes()), n_vocab=257, eos_token=256)

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        signal.setitimer(signal.ITIMER_PROF, TRIAL_CPU_S)
        told = _objection(tokenizer, request["grammar"])
        signal.setitimer(signal.ITIMER_PROF, 0)
        return {"objection": told}

    serve(answer, limits)


def _objection(tokenizer: LLTokenizer, grammar: str) -> str | None:
    """What is wrong with a grammar, seen at once or on a walk through texts that it allows."""
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=parser_limits())
    started = thread_time()
    for step in range(_WALK_STEPS):
        if matcher.is_error() or matcher.is_stopped() or thread_time() - started > _WALK_S:
            break
        octets = matcher.compute_logit_bias()
        allowed = [byte for byte in range(256) if octets[byte]]
        if not allowed:
            break
        # Any rule that visits them all, and the same ones each time.
        matcher.consume_token(allowed[(step * 7919 + 1) % len(allowed)])
    return matcher.get_error() or None
