"""The page of a registry's hits, as JSON or HTML, for any framework.

===========  =========================================================================================================
in a query   meaning
===========  =========================================================================================================
``last``     seconds, up to the window of the registry, which is the default
``prefix``   only endpoints whose names begin with it
``limit``    at most so many endpoints, those with the most hits; 100 by default
``format``   ``json`` or ``html``; by default what the ``Accept`` field asks for
``refresh``  seconds after which the HTML loads itself again; by default it does not
===========  =========================================================================================================

The HTML loads nothing and runs no script, and its ``Content-Security-Policy`` forbids both.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlencode

from hitring._errors import WindowExpired
from hitring._refusals import problem

if TYPE_CHECKING:
    from hitring._hitring import Registry, SharedRegistry

__all__ = ["Page"]

_MOST_SHOWN = 100
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


class _Query(NamedTuple):
    """What a request asks for."""

    last: float
    prefix: str
    limit: int
    is_html: bool
    refresh: int


class Page:
    """Answers requests about the hits of a registry."""

    def __init__(self, registry: Registry | SharedRegistry) -> None:
        self._registry = registry

    def answer(self, method: str, query: str, accept: str) -> tuple[int, list[tuple[str, str]], bytes]:
        """Return the status, the header fields and the body for a request with the query string ``query``."""
        fields = [("Cache-Control", "no-store"), ("Vary", "Accept"), ("X-Content-Type-Options", "nosniff")]
        status, kind = 200, "application/problem+json"
        try:
            if method in {"GET", "HEAD"}:
                asked = self._read(query, accept)
                found = self._found(asked)
                if asked.is_html:
                    kind, body = "text/html; charset=utf-8", self._shown(found, asked).encode()
                    fields.append(("Content-Security-Policy", _POLICY))
                else:
                    kind, body = "application/json", json.dumps(found).encode()
            else:
                status = 405
                body = problem(status, "Method Not Allowed", f"The page answers GET and HEAD, not {method}.")
                fields.append(("Allow", "GET, HEAD"))
        except WindowExpired as error:
            status = 503
            body = problem(status, "Service Unavailable", str(error))
        except ValueError as error:
            status = 400
            body = problem(status, "Bad Request", str(error))
        fields += [("Content-Type", kind), ("Content-Length", str(len(body)))]
        return status, fields, b"" if method == "HEAD" else body

    def _read(self, query: str, accept: str) -> _Query:
        given = {key: values[-1] for key, values in parse_qs(query, keep_blank_values=True).items()}
        form = given.get("format", "html" if "text/html" in accept else "json")
        if form not in {"html", "json"}:
            message = f"format must be 'json' or 'html', not {form!r}"
            raise ValueError(message)
        limit = _number("limit", "endpoints", given.get("limit") or str(_MOST_SHOWN))
        refresh = _number("refresh", "seconds", given["refresh"]) if given.get("refresh") else 0
        asked = given.get("last") or str(self._registry.window)
        try:
            last = float(asked)
        except ValueError:
            last = -1.0
        if not 0 <= last <= self._registry.window:
            message = f"last must be a number of seconds, from 0 to {_whole(self._registry.window)}, not {asked!r}"
            raise ValueError(message)
        return _Query(last, given.get("prefix", ""), limit, form == "html", refresh)

    def _found(self, asked: _Query) -> dict[str, Any]:
        """Return what the JSON has."""
        registry, last = self._registry, asked.last
        # The busiest come first, so that those of a prefix are found in all.
        most = len(registry) if asked.prefix else asked.limit
        top = [(name, int(hits)) for name, hits in registry.top(max(1, most), last) if name.startswith(asked.prefix)]
        rates = last or registry.resolution
        return {
            "last": _whole(last),
            "window": _whole(registry.window),
            "hits": int(registry.total(last, prefix=asked.prefix)),
            "endpoints": [
                {"endpoint": name, "hits": hits, "rate": round(hits / rates, 3)} for name, hits in top[: asked.limit]
            ],
            "endpoints_count": len(registry),
        }

    def _shown(self, found: dict[str, Any], asked: _Query) -> str:
        """Return the HTML."""
        last, window, endpoints = found["last"], found["window"], found["endpoints"]
        most = endpoints[0]["hits"] if endpoints else 1
        rows = "".join(
            f"<tr><td>{html.escape(row['endpoint'])}</td><td>{row['hits']:,}</td><td>{row['rate']:,.1f}</td>"
            f'<td><meter max="{most}" value="{row["hits"]}">{row["hits"]}</meter></td></tr>\n'
            for row in endpoints
        )
        spans = sorted({last, window, *(span for span in _SPANS if span < window)})
        options = "".join(
            f'<option value="{span}"{" selected" if span == last else ""}>{span:,} s</option>' for span in spans
        )
        refresh = f'<meta http-equiv="refresh" content="{asked.refresh}">\n' if asked.refresh else ""
        same = html.escape(urlencode({"last": last, "prefix": asked.prefix, "limit": asked.limit}))
        return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh}<title>{found["hits"]:,} hits</title>
<style>{_STYLE}</style>
<h1><strong>{found["hits"]:,}</strong> hits in the last {last:,} s</h1>
<form>
<label>Seconds <select name="last">{options}</select></label>
<label>Endpoints that begin with <input name="prefix" value="{html.escape(asked.prefix)}"></label>
<input type="hidden" name="format" value="html">
<button>Show</button>
</form>
<table>
<thead><tr><th scope="col">Endpoint</th><th scope="col">Hits</th><th scope="col">A second</th>\
<th scope="col">Beside the busiest</th></tr></thead>
<tbody>
{rows or '<tr><td colspan="4">No hits.</td></tr>'}
</tbody>
</table>
<p>{len(endpoints):,} of {found["endpoints_count"]:,} endpoints are shown.
<a href="?{same}&amp;format=html&amp;refresh={_REFRESH}">Load again every {_REFRESH} s</a> \
<a href="?{same}&amp;format=json">JSON</a></p>
</html>
"""


def _whole(seconds: float) -> float:
    """Return a whole number as an int, as the JSON and the HTML show it."""
    return int(seconds) if seconds == int(seconds) else seconds


def _number(name: str, of: str, text: str) -> int:
    """Return a number that a query has, from 1 to nine digits."""
    if not (text.isascii() and text.isdecimal()) or len(text) > len("999999999") or int(text) < 1:
        message = f"{name} must be a number of {of}, from 1 to 999999999, not {text!r}"
        raise ValueError(message)
    return int(text)
