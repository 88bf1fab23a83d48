"""A process that grammars are tried in first: one that explodes ends it, and nothing else.

Reads a grammar a line, as a JSON text, and answers with what llguidance says against it or null. It has
little time, stack and memory, and dies where they are used up; the signal says of what.
"""

import json
import resource
import signal
import sys
import threading
from time import thread_time
from typing import TYPE_CHECKING, cast

from llguidance import LLMatcher, LLTokenizer

from potstill.constraints.limits import TRIAL_BYTES, TRIAL_CPU_S, TRIAL_STACK_BYTES, parser_limits

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


class _Attempt(threading.Thread):
    """In a thread, since its stack is as small as it is told to be."""

    def __init__(self, tokenizer: LLTokenizer, grammar: str) -> None:
        super().__init__()
        self._tokenizer, self._grammar = tokenizer, grammar
        self.objection: str | None = None

    def run(self) -> None:
        self.objection = _objection(self._tokenizer, self._grammar)


def main() -> None:
    _give_little()
    tokenizer = LLTokenizer(cast("TokenizerWrapper", _Bytes()), n_vocab=257, eos_token=256)
    for line in sys.stdin.buffer:
        grammar = json.loads(line)
        attempt = _Attempt(tokenizer, grammar)
        signal.setitimer(signal.ITIMER_PROF, TRIAL_CPU_S)
        attempt.start()
        attempt.join()
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(json.dumps(attempt.objection) + "\n")
        sys.stdout.flush()


def _give_little() -> None:
    # Ctrl-C reaches every process of a terminal; the one that asked decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (TRIAL_BYTES, TRIAL_BYTES))
    threading.stack_size(TRIAL_STACK_BYTES)


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


if __name__ == "__main__":
    main()
