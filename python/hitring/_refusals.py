"""Requests that are refused: the decision about a client, and the bodies of the answers."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from hitring._hitring import Limiter

if TYPE_CHECKING:
    from typing import Callable

    from hitring._hitring import Decision, KeyedLimiter, SharedLimiter

__all__ = ["decider", "problem", "refusal", "refusal_text"]


def decider(limiter: Limiter | KeyedLimiter | SharedLimiter) -> Callable[[str], Decision]:
    """Return what decides about a request of a client. A `Limiter` has no keys, so all clients share it."""
    if isinstance(limiter, Limiter):
        allow = limiter.allow
        return lambda _: allow()
    return limiter.allow


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
