"""`NamedTuple` without typing, whose import would take longer than all the rest of hitring.

A type checker sees the one of typing. At run time the classes are the same: `collections.namedtuple` with the
annotations, the documentation and the defaults of the class.
"""

from __future__ import annotations

from collections import namedtuple

__all__ = ["NamedTuple"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:

    class _Maker(type):
        def __new__(cls, name, bases, names):
            if not bases:
                return super().__new__(cls, name, bases, names)
            fields = names["__annotations__"]
            defaults = [names[field] for field in fields if field in names]
            made = namedtuple(name, fields, defaults=defaults, module=names["__module__"])  # noqa: PYI024 (see above)
            made.__annotations__ = dict(fields)
            for own, value in names.items():
                if own not in fields and own not in {"__annotations__", "__module__", "__qualname__"}:
                    setattr(made, own, value)
            return made

    class NamedTuple(metaclass=_Maker):
        """The base of a class whose annotations are the fields of a tuple."""
