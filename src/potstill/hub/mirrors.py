"""Several addresses of a hub, tried in order."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urlsplit

from potstill.errors import ConfigError, ModelMissing
from potstill.hub.listing import HubBrokeOff, HubLacks, HubUnreachable

_Result = TypeVar("_Result")
_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+")


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids to ask anyone; its values are those that huggingface-hub knows."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def mirrors(variable: str) -> list[str]:
    """The addresses in an environment variable, between commas; ConfigError for what is no address."""
    addresses = [part.strip().rstrip("/") for part in os.environ.get(variable, "").split(",")]
    for address in filter(None, addresses):
        check_address(variable, address)
    return [address for address in addresses if address]


def check_address(variable: str, address: str) -> None:
    """ConfigError unless it is http or https, a host, and nothing that belongs in a token's place."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"{variable} is {address!r}, which is no address ({error}). Correct it.") from None
    is_host = _HOST.fullmatch(parts.hostname or "")
    if parts.scheme not in ("http", "https") or not is_host or parts.username is not None:
        raise ConfigError(
            f"{variable} names {address!r}; an address is like https://hub.example. Correct it."
        )


def first_that_has(endpoints: Sequence[str], shown: str, fetch: Callable[[str], _Result]) -> _Result:
    """What `fetch` gives for the first address that has the model and answers to the end.

    Each one that fails is told on stderr when another follows. Where all fail, HubUnreachable if any of them
    might do another time, else the HubLacks of the first.
    """
    failures: list[HubLacks | HubUnreachable] = []
    for endpoint, following in zip(endpoints, [*endpoints[1:], None], strict=True):
        try:
            return fetch(endpoint)
        except (HubLacks, HubUnreachable) as error:
            failures.append(error)
            if following is not None:
                print(f"{shown}: {error}; trying {following}", file=sys.stderr)
    raise next((error for error in failures if isinstance(error, HubUnreachable)), failures[0])


@contextmanager
def refusals(shown: str) -> Iterator[None]:
    """ModelMissing where no address has the model, or gave it to its end; HubUnreachable passes."""
    try:
        yield
    except HubLacks as error:
        raise ModelMissing(f"{error}. {error.advice}") from None
    except HubBrokeOff as error:
        raise ModelMissing(
            f"Fetching {shown} broke off ({error}). Run the same command again to go on from there."
        ) from None
