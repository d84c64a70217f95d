r"""Names with labels: ``http{route="/a",status="200"}``, in the form that Prometheus has for them.

There is one rule for all of hitring, so that an endpoint with labels has one name in every process:

=========  ==========================================================================================
the name   a letter, ``_`` or ``:``, then these and digits: as Prometheus has it for metrics
a label    the same without ``:``, and not with ``__`` in front, which is Prometheus's own; in order
a value    any text, in ``"``; a backslash, a quote and a newline are ``\\``, ``\"`` and ``\n``
=========  ==========================================================================================
"""

from __future__ import annotations

from hitring._errors import ConfigError

__all__ = ["escaped", "labelled"]

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def escaped(value: str) -> str:
    """Return a label's value as it stands between quotes."""
    return value.translate(_ESCAPES)


def _is_label(text: str) -> bool:
    """Return whether a text is a letter or ``_``, then these and digits, all of ASCII: as Python's own names are."""
    return text.isascii() and text.isidentifier()


def labelled(name: str, /, **labels: object) -> str:
    """Return the name of the endpoint ``name`` with these labels, the same in whatever order they are given.

    Values are made a ``str``, as prometheus_client does. Without labels it is ``name``.

    Raises
    ------
    ConfigError
        Prometheus does not allow the name or a label. It is also a ``ValueError``.

    Examples
    --------
    >>> labelled("http", status=200, route="/a")
    'http{route="/a",status="200"}'
    """
    if not _is_label(name.replace(":", "_")):
        message = (
            f"{name!r} cannot have labels: such a name begins with a letter, '_' or ':', and has these and digits alone"
        )
        raise ConfigError(message)
    for label in labels:
        if not _is_label(label) or label.startswith("__"):
            message = (
                f"{label!r} is not a label: a label begins with a letter or '_', but not with '__', "
                "and has these and digits alone"
            )
            raise ConfigError(message)
    pairs = [f'{label}="{escaped(str(value))}"' for label, value in sorted(labels.items())]
    return f"{name}{{{','.join(pairs)}}}" if pairs else name


labelled.__module__ = "hitring"
