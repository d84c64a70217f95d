"""Requests that are refused: the decision about a client, and the bodies of the answers."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING

from hitring._errors import ConfigError
from hitring._hitring import Limiter

if TYPE_CHECKING:
    from typing import Callable

    from hitring._hitring import Decision, KeyedLimiter, SharedLimiter

__all__ = ["decider", "problem", "refusal", "refusal_text"]


_LONGEST_KEY = 256
"""Characters of the longest key that a limiter keeps as it is."""


def decider(limiter: Limiter | KeyedLimiter | SharedLimiter) -> Callable[[str], Decision]:
    """Return what decides about a request of a client. A `Limiter` has no keys, so all clients share it."""
    allow: Callable[..., Decision] | None = getattr(limiter, "allow", None)
    if allow is None:
        message = f"{limiter!r} cannot limit; give a Limiter, a KeyedLimiter or the limiter of a SharedRegistry"
        raise ConfigError(message)
    if isinstance(limiter, Limiter):
        return lambda _: allow()
    # A client may choose its key, so what a limiter keeps must not grow with the key.
    return lambda key: allow(key if len(key) <= _LONGEST_KEY else _digest(key))


def _digest(key: str) -> str:
    return hashlib.blake2b(key.encode("utf-8", "replace")).hexdigest()


def problem(status: int, title: str, detail: str) -> bytes:
    """Return a problem document (RFC 9457), ``application/problem+json``."""
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode()


def refusal_text(decision: Decision) -> str:
    """Return a sentence that tells a client when to come back."""
    wait = decision.retry_after
    return "There are too many requests." + ("" if wait is None else f" Try again in {math.ceil(wait)} s.")


def refusal(decision: Decision) -> bytes:
    """Return the problem document that says the same."""
    return problem(429, "Too Many Requests", refusal_text(decision))
