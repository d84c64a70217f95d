"""The page of a registry's hits, as JSON or HTML, for any framework.

============  ========================================================================================================
in a query    meaning
============  ========================================================================================================
``last``      seconds, up to the window of the registry, which is the default
``contains``  only endpoints whose names contain it
``limit``     at most so many endpoints, those with the most hits; 100 by default, 10,000 at most
``format``    ``json`` or ``html``; by default what the ``Accept`` field asks for
``refresh``   seconds after which the HTML loads itself again; by default it does not
============  ========================================================================================================

Endpoints are asked one by one, so that a thread that answers lets others run in between.
The HTML loads nothing and runs no script, and its ``Content-Security-Policy`` forbids both.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlencode

from hitring._errors import ConfigError, QueryError, WindowExpired
from hitring._exposition import check_that_it_is_whole
from hitring._refusals import problem

if TYPE_CHECKING:
    from hitring._hitring import Registry, SharedRegistry

__all__ = ["Page"]

_MOST_SHOWN = 10_000
_DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)
_SPANS = (1, 10, 60, 300, 3_600, 86_400)
"""The spans that the HTML offers, as far as the window has them, besides the window itself."""
_REFRESH = 5
"""The seconds of the HTML's link to a page that loads itself again."""

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; }
h1 strong { font-size: 2.2rem; font-variant-numeric: tabular-nums; }
form { display: flex; flex-wrap: wrap; gap: .8rem; align-items: end; margin: 1rem 0; }
label { display: flex; flex-direction: column; font-size: .85rem; }
input, select, button { font: inherit; padding: .2rem .5rem; }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
td { font-variant-numeric: tabular-nums; }
meter { width: 100%; min-width: 5rem; }
"""
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


class _WrongQuery(ValueError):
    """A query that the page does not take."""


class _Query(NamedTuple):
    """What a request asks for."""

    last: float
    contains: str
    limit: int
    is_html: bool
    refresh: int


class Page:
    """Answers requests about the hits of a registry."""

    def __init__(self, registry: Registry | SharedRegistry) -> None:
        if not hasattr(registry, "query_hits"):
            message = f"{registry!r} has no hits to show; give a Registry or a SharedRegistry"
            raise ConfigError(message)
        self._registry = registry

    def answer(self, method: str, query: str, accept: str) -> tuple[int, list[tuple[str, str]], bytes]:
        """Return the status, the header fields and the body for a request with the query string ``query``."""
        fields = [("Cache-Control", "no-store"), ("Vary", "Accept"), ("X-Content-Type-Options", "nosniff")]
        status, kind = 200, "application/problem+json"
        if method not in {"GET", "HEAD"}:
            status = 405
            body = problem(status, "Method Not Allowed", f"The page answers GET and HEAD, not {method}.")
            fields.append(("Allow", "GET, HEAD"))
        else:
            try:
                asked = self._read(query, accept)
                found = self._found(asked)
            except _WrongQuery as error:
                status = 400
                body = problem(status, "Bad Request", str(error))
            except QueryError as error:
                status = 503
                body = problem(status, "Service Unavailable", str(error))
            else:
                if asked.is_html:
                    kind, body = "text/html; charset=utf-8", self._shown(found, asked).encode()
                    fields.append(("Content-Security-Policy", _POLICY))
                else:
                    kind, body = "application/json", json.dumps(found).encode()
        fields += [("Content-Type", kind), ("Content-Length", str(len(body)))]
        return status, fields, b"" if method == "HEAD" else body

    def _read(self, query: str, accept: str) -> _Query:
        given = {key: values[-1] for key, values in parse_qs(query, keep_blank_values=True).items()}
        form = given.get("format", "html" if "text/html" in accept.lower() else "json")
        if form not in {"html", "json"}:
            message = f"format must be 'json' or 'html', not {form!r}"
            raise _WrongQuery(message)
        limit = _number("limit", "endpoints", _MOST_SHOWN, given.get("limit") or "100")
        refresh = _number("refresh", "seconds", 86_400, given["refresh"]) if given.get("refresh") else 0
        window, resolution = self._registry.window, self._registry.resolution
        asked = given.get("last") or str(window)
        last = float(asked) if _DECIMAL.fullmatch(asked) else -1.0
        if not 0 <= last <= window or not _is_multiple(last, resolution):
            message = (
                f"last must be a number of seconds, from 0 to {_whole(window)} in steps of {_whole(resolution)}, "
                f"not {asked!r}"
            )
            raise _WrongQuery(message)
        return _Query(last, given.get("contains", ""), limit, form == "html", refresh)

    def _found(self, asked: _Query) -> dict[str, Any]:
        """Return what the JSON has."""
        registry, last = self._registry, asked.last
        endpoints, total, found = 0, 0, list[tuple[int, str]]()
        for endpoint in registry.endpoints():
            endpoints += 1
            if asked.contains not in endpoint:
                continue
            try:
                hits = int(registry.query_hits(endpoint, last))
            except WindowExpired:
                # It was pruned just now, or a clock that was ahead took its slots.
                continue
            if hits:
                total += hits
                found.append((-hits, endpoint))
        check_that_it_is_whole(registry)
        return {
            "last": _whole(last),
            "window": _whole(registry.window),
            "hits": total,
            "endpoints": [
                {"endpoint": endpoint, "hits": -hits, "rate": round(-hits / (last or 1), 3)}
                for hits, endpoint in nsmallest(asked.limit, found)
            ],
            "endpoints_count": endpoints,
        }

    def _shown(self, found: dict[str, Any], asked: _Query) -> str:
        """Return the HTML."""
        last, window, endpoints = found["last"], found["window"], found["endpoints"]
        most = endpoints[0]["hits"] if endpoints else 1
        rows = "".join(
            f"<tr><td>{_escaped(row['endpoint'])}</td><td>{row['hits']:,}</td><td>{row['rate']:,.1f}</td>"
            f'<td><meter max="{most}" value="{row["hits"]}">{row["hits"]}</meter></td></tr>\n'
            for row in endpoints
        )
        offered = [span for span in _SPANS if span < window and _is_multiple(span, self._registry.resolution)]
        options = "".join(
            f'<option value="{span}"{" selected" if span == last else ""}>{span:,} s</option>'
            for span in sorted({last, window, *offered})
        )
        refresh = f'<meta http-equiv="refresh" content="{asked.refresh}">\n' if asked.refresh else ""
        kept = {"last": last, "contains": asked.contains, "limit": asked.limit}
        pages = {**kept, "format": "html"}
        again = f"Load again every {_REFRESH} s", {**pages, "refresh": _REFRESH}
        if asked.refresh:
            again = "Load no more", pages
        links = "\n".join(
            f'<a href="?{html.escape(urlencode(query))}">{text}</a>'
            for text, query in (again, ("JSON", {**kept, "format": "json"}))
        )
        hidden = {"limit": asked.limit, "format": "html", **({"refresh": asked.refresh} if asked.refresh else {})}
        inputs = "\n".join(f'<input type="hidden" name="{name}" value="{value}">' for name, value in hidden.items())
        return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh}<title>{found["hits"]:,} hits</title>
<style>{_STYLE}</style>
<h1><strong>{found["hits"]:,}</strong> hits in the last {last:,} s</h1>
<form>
<label>Seconds <select name="last">{options}</select></label>
<label>Endpoints that contain <input name="contains" value="{_escaped(asked.contains)}"></label>
{inputs}
<button>Show</button>
</form>
<table>
<thead><tr><th scope="col">Endpoint</th><th scope="col">Hits</th><th scope="col">Per second</th>\
<th scope="col">Compared</th></tr></thead>
<tbody>
{rows or '<tr><td colspan="4">No hits.</td></tr>'}
</tbody>
</table>
<p>{len(endpoints):,} of {found["endpoints_count"]:,} endpoints are shown.
{links}</p>
</html>
"""


def _whole(seconds: float) -> float:
    """Return a whole number as an int, as the JSON and the HTML show it."""
    return int(seconds) if seconds == int(seconds) else seconds


def _is_multiple(seconds: float, resolution: float) -> bool:
    """Return whether a span is a whole number of ticks, as near as a float can tell."""
    ticks = seconds / resolution
    return abs(ticks - round(ticks)) < 1e-6


def _escaped(text: str) -> str:
    """Return a text for HTML, which cannot have U+0000."""
    return html.escape(text.replace("\0", "\ufffd"))


def _number(name: str, of: str, most: int, text: str) -> int:
    """Return a whole number that a query has, from 1 to ``most``."""
    if not _DECIMAL.fullmatch(text) or "." in text or not 1 <= int(text) <= most:
        message = f"{name} must be a number of {of}, from 1 to {most}, not {text!r}"
        raise _WrongQuery(message)
    return int(text)
