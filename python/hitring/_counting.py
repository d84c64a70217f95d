"""``registry.count(name)``: counts the calls of a function, or the entries of a block.

==================  ============================================================================================
what is decorated   when it is counted
==================  ============================================================================================
a function          when it is called
a coroutine         when it begins to run: one that is never awaited is not counted
a generator         when its first value is asked for; values, exceptions and ``close`` go through to it
an async generator  the same
==================  ============================================================================================

Each is counted before it runs, so an exception changes nothing, and passes. What is decorated stays what it was for
``inspect``, which web frameworks ask.
"""

from __future__ import annotations

import functools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from types import TracebackType
    from typing import Any, Callable, TypeVar

    from hitring._hitring import Registry, SharedRegistry

    _Function = TypeVar("_Function", bound=Callable[..., Any])

__all__ = ["Counted"]


class Counted:
    """Counts hits of one endpoint: as a decorator its calls, as a context manager its entries.

    Made by `Registry.count`. Each call looks the endpoint up by its name, so one that was pruned or removed begins
    again. A hit that is refused changes nothing: the function runs.
    """

    __slots__ = ("_amount", "_endpoint", "_record")

    def __init__(self, registry: Registry | SharedRegistry, endpoint: str, amount: int) -> None:
        """Count ``amount`` hits of ``endpoint`` in ``registry`` each time."""
        self._record = registry.record_hit
        self._endpoint = endpoint
        self._amount = amount

    def __call__(self, function: _Function) -> _Function:
        """Return ``function`` with its calls counted."""
        record, endpoint, amount = self._record, self._endpoint, self._amount
        import inspect  # noqa: PLC0415 (not at the import of hitring: it takes some milliseconds)

        def call(*arguments: Any, **named: Any) -> Any:
            record(endpoint, None, amount)
            return function(*arguments, **named)

        async def run(*arguments: Any, **named: Any) -> Any:
            record(endpoint, None, amount)
            return await function(*arguments, **named)

        def iterate(*arguments: Any, **named: Any) -> Generator[Any, Any, Any]:
            record(endpoint, None, amount)
            generator: Generator[Any, Any, Any] = function(*arguments, **named)
            return (yield from generator)

        async def stream(*arguments: Any, **named: Any) -> AsyncGenerator[Any, Any]:
            record(endpoint, None, amount)
            generator: AsyncGenerator[Any, Any] = function(*arguments, **named)
            try:
                value = await generator.__anext__()
                while True:
                    try:
                        sent = yield value
                    except GeneratorExit:  # noqa: PERF203 (each value may be answered by an exception)
                        await generator.aclose()
                        raise
                    except BaseException as error:  # whatever it is, it is the generator's
                        value = await generator.athrow(error)
                    else:
                        value = await generator.asend(sent)
            except StopAsyncIteration:
                return

        counted: Callable[..., Any] = call
        if inspect.iscoroutinefunction(function):
            counted = run
        elif inspect.isgeneratorfunction(function):
            counted = iterate
        elif inspect.isasyncgenfunction(function):
            counted = stream
        same: Any = functools.update_wrapper(counted, function)
        return same  # type: ignore[no-any-return]

    def __enter__(self) -> Counted:  # noqa: PYI034 (typing.Self is younger than Python 3.9)
        """Count."""
        self._record(self._endpoint, None, self._amount)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing."""

    def __repr__(self) -> str:
        return f"<hitring count of {self._endpoint!r}>"


Counted.__module__ = "hitring"
