#!/usr/bin/env python3
"""Compares `hitring replay --json` with an independent reader of access logs on lines made to be hard.

usage: differential.py PROGRAM [--lines N] [--files N] [--seed N]

PROGRAM is the built program. The reader is `reader.py` beside this file.
Lines are put together from fragments and then damaged; they go into files of both line ends, some compressed. For each
file everything that the JSON says is compared: totals, every path with its hits and clients, and windows at seconds
with hits and beside them. When a file differs, it is cut down to the line that makes the difference, which is printed.
Ends with `N lines in N files, N differences` and exits 0 or 1.
"""

import argparse
import bisect
import collections
import gzip
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

from reader import clf, unwrap

GOOD_STAMPS = [
    b"10/Oct/2000:13:55:36.125 -0700",
    b"10/Oct/2000:13:55:60 -07:00",
    b"10/Oct/2000:13:55:36 -0700",
    b"29/Feb/2024:23:59:59 +0530",
    b"01/Jan/0001:00:00:00 +9999",
    b"31/Dec/9999:23:59:59 -9999",
    b"31/Dec/1969:23:59:59 +0000",
    b"10/Oct/2000:13:56:00 -0700",
]
BAD_STAMPS = [
    b"29/Feb/2023:00:00:00 +0000",
    b"30/Feb/2024:00:00:00 +0000",
    b"31/Apr/2024:00:00:00 +0000",
    b"29/Feb/1900:00:00:00 +0000",
    b"29/Feb/2000:00:00:00 +0000",
    b"00/Jan/2024:00:00:00 +0000",
    b"01/Jan/0000:00:00:00 +0000",
    b"01/Jan/2024:24:00:00 +0000",
    b"01/Jan/2024:23:60:00 +0000",
    b"01/Jan/2024:23:59:61 +0000",
    b"01/jan/2024:00:00:00 +0000",
    b"01/JAN/2024:00:00:00 +0000",
    b"01/Foo/2024:00:00:00 +0000",
    b"1/Jan/2024:00:00:00 +0000",
    b"01/Jan/2024:00:00:00 0000",
    b"01/Jan/2024:00:00:00 +000",
    b"01/Jan/2024:00:00:00",
    b"\xb21/Jan/2024:00:00:00 +0000",
    b"01/Jan/2024:00:00:00  +0000",
    b"2024-01-01T00:00:00Z",
]
PREFIXES_MADE = [
    b"Feb  3 22:40:00 edge1 nginx: ",
    b"<190>Feb 13 22:40:00.125 edge1 nginx[77]: ",
    b"Sat 2024-02-03 22:40:00 UTC edge1 nginx: ",
    b"2024-02-03T22:40:00.000+00:00 edge1 user.info nginx: ",
    b'<190>1 2024-02-03T22:40:00Z edge1 nginx 77 - [a b="]"] ',
    b"2024-02-03T22:40:00.000Z ",
    b"2024-02-03T22:40:00.000Z stdout F ",
    b"2024-02-03T22:40:00Z stream ",
    b"[pod/web/nginx] ",
    b"shop_1  | ",
    b"0|web | ",
    b"17:",
    b"a.log:17:",
    b"a.log:",
    b"a.log-17-",
    b"\x1b[01;31m\x1b[K",
    b"181 <190>",
    b"<6>",
    b"a.log-",
    b"2024-02-03T22:40:00Z 192.0.2.9 nginx: ",
]
CLIENTS = [
    b"192.0.2.1",
    b"192.0.2.2",
    b"2001:db8::1",
    b"host.example",
    b"-",
    b"\xff\xfe",
    b"a\x1cb",
    b"a\x85b",
    b"a\xa0b",
    b"a\tb",
    b"",
    b"\x00",
    b'"',
    b"[",
    b"a\x0bb",
    b"a\x1fb",
    b"\x1b[31m",
    b"x\xc2\x85y",
    b"203.0.113.7,",
    b"203.0.113.7,198.51.100.2",
    b"unknown,",
    b",",
    b"192.0.2.9 (203.0.113.7, 198.51.100.2)",
    b'192.0.2.9 "203.0.113.7"',
    b"[203.0.113.7, 198.51.100.2] 192.0.2.9",
    b"192.0.2.9 (unknown)",
    b"192.0.2.9:4321",
    b"[2001:db8::9]:443",
    b"[2001:db8::9] 192.0.2.9",
    b"192.0.2.8 192.0.2.9",
    b"www.example.com:443 192.0.2.9",
    b"www.example.com 203.0.113.7:80, unknown 192.0.2.9",
    b"crawl-66-249-66-1.example",
    b"203.0.113.7, 198.51.100.2 192.0.2.9",
    b"192.0.2.9 203.0.113.7, 198.51.100.2",
    b"(",
]
WORDS = [
    b"GET",
    b"/",
    b"/a",
    b"/a?b=c&d=%20",
    b"/%C3%A9",
    b"/\xc3\xa9",
    b"/\xff",
    b"HTTP/1.1",
    b"",
    b"-",
    b"\\",
    b'\\"',
    b"\\\\",
    b'"',
    b"\\x16\\x03",
    b"\x16\x03",
    b"/a\tb",
    b"/\x00",
    b"/a\xa0b",
    b"\xe2\x80\xae",
    b"\r",
    b'" 200 5',
    b'" 404 -',
    b'" 200 5 "',
    b" [",
    b"] ",
    b'] "',
    b'[10/Oct/2000:13:55:36 -0700] "',
    b' [10/Oct/2000:13:55:37 -0700] "GET /in',
]
PIECES = [
    b" ",
    b'"',
    b"\\",
    b"[",
    b"]",
    b"-",
    b"0",
    b"9",
    b"+",
    b":",
    b"/",
    b"\x00",
    b"\t",
    b"\x85",
    b"\xa0",
    b"\xff",
    b"\r",
    b'" ',
    b' "',
    b" [",
    b'] "',
    b" 200 ",
    b" - ",
    b'" 200 5',
    b"\x1c",
    b"\xb2",
    b"A",
    b"z",
    b", ",
    b"|",
    b"(",
    b"{",
    b"=",
    b"\x1b[m",
]


def request(rng):
    return rng.choice([b" ", b" ", b" ", b"  ", b""]).join(rng.choice(WORDS) for _ in range(rng.randint(0, 5)))


def line(rng):
    often = rng.random() < 0.8
    stamp = rng.choice(GOOD_STAMPS if often else BAD_STAMPS)
    if rng.random() < 0.5:
        stamp = b"%02d/Oct/2000:13:%02d:%02d +0000" % (rng.randint(9, 11), rng.randint(0, 61), rng.randint(0, 61))
    text = b" ".join(
        [
            rng.choice(CLIENTS[:5] if often else CLIENTS),
            rng.choice([b"-", b"-", b"-", b"id", b"", b"192.0.2.9", b"2001:db8::9 -", b"-,192.0.2.8", b"i\x1dd"]),
            rng.choice([b"-", b"-", b"alice", b"", b" ", b"a [b", b"\xff\x00", b"- req001", b"-\t"]),
            b"[" + stamp + b"]",
            b'"' + request(rng) + b'"',
            rng.choice([b"200", b"404", b"-", b"20", b"2000", b"2x0", b"\xb200"] if not often else [b"200", b"404"]),
            rng.choice(
                [b"5", b"-", b"0", b"-1", b"123456789012345678901234567890"]
                + ([] if often else [b"", b"5x", b"--", b"\xb2", b"5\t"])
            ),
        ]
    )
    if rng.random() < 0.6:
        text += rng.choice(
            [
                b" ",
                b' "-" "agent"',
                b' "' + request(rng) + b'" 200 5',
                b" \x00",
                b' "x" "y" "z" 0.001',
                b' [10/Oct/2000:13:55:39 -0700] "' + request(rng) + b'" 200 7',
            ]
        )
    if rng.random() < 0.3:
        text = b"".join(rng.choice(PREFIXES_MADE) for _ in range(rng.choice([1, 1, 1, 2, 5]))) + text
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2, 4])):
        at = rng.randint(0, len(text))
        what = rng.random()
        if what < 0.35:
            text = text[:at] + text[at + rng.randint(1, 3) :]
        elif what < 0.7:
            text = text[:at] + rng.choice(PIECES) + text[at:]
        elif what < 0.85:
            text = text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :]
        else:
            other = rng.randint(0, len(text))
            text = text[:at] + text[min(at, other) : max(at, other)] + text[at:]
    if rng.random() < 0.02:
        text = rng.choice(
            [b"", b" ", b"\r", b"\x00" * 20, bytes(rng.randrange(256) for _ in range(rng.randint(1, 60)))]
        )
    if rng.random() < 0.001:
        # Stamps fewer: the independent reader takes time that grows with the square of their number.
        piece, times = rng.choice(
            [(b"x", 70_000), (b'"', 70_000), (b"\\", 70_000), (b' [10/Oct/2000:13:55:36 -0700] "', 200)]
        )
        text = text.replace(b"/a", b"/a" + piece * times)
    return text.replace(b"\n", b" ")


def expected(data, ats, last):
    """What the JSON has to say, from `clf` alone."""
    raw = re.split(rb"\r?\r?\n|\r", data)
    if raw[-1] == b"":
        raw.pop()
    stripped = collections.Counter(kind for text in raw for kind in unwrap(text.decode("latin-1").lstrip("\0"))[1])
    events = [clf(text.decode("latin-1")) for text in raw]
    good = [event for event in events if event]
    hits = collections.Counter(path for _, path, _ in good)
    clients = collections.defaultdict(set)
    times = collections.defaultdict(list)
    for ts, path, client in good:
        clients[path].add(client)
        times[path].append(ts)
    everything = sorted(ts for ts, _, _ in good)
    for of_path in times.values():
        of_path.sort()

    def in_window(sorted_times, at):
        return bisect.bisect_right(sorted_times, at) - bisect.bisect_right(sorted_times, at - last)

    top = sorted(hits, key=lambda path: (-hits[path], path))
    return {
        "lines": len(raw),
        "malformed": len(raw) - len(good),
        "headers": 0,
        "events": len(good),
        "first": everything[0] if good else None,
        "last": everything[-1] if good else None,
        "distinct": {"path": len(hits), "client": len({client for _, _, client in good})},
        "stripped": dict(stripped),
        "estimates": {},
        "top": [{"path": path, "hits": hits[path], "unique_clients": len(clients[path])} for path in top],
        "windows": [
            {
                "at": at,
                "last": last,
                "hits": in_window(everything, at),
                "by_path": {path: in_window(times[path], at) for path in top},
            }
            for at in ats
        ],
    }


def unescape(path):
    """The path's bytes, as latin-1 text, from the form in which the program shows them."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), path.encode()).decode("latin-1")


def answer(program, file, ats, last):
    command = [program, "replay", "--json", str(file), "--top", "10000000", "--last", str(last)]
    ran = subprocess.run(command + [part for at in ats for part in ("--at", str(at))], capture_output=True)
    if ran.returncode:
        return f"exit {ran.returncode}: {ran.stderr[:400]!r}"
    got = json.loads(ran.stdout)
    for row in got["top"]:
        row["path"] = unescape(row["path"])
    for window in got["windows"]:
        window["by_path"] = {unescape(path): hits for path, hits in window["by_path"].items()}
    return got


def guard(n):
    """A good line, so that no file is of an unknown format altogether."""
    return b'192.0.2.99 - - [10/Oct/2000:13:55:%02d -0700] "GET /guard HTTP/1.1" 200 5' % (n % 60)


def differs(program, folder, lines, ending, ats, last):
    data = ending.join([guard(0), *lines])
    file = folder / "cut.log"
    file.write_bytes(data)
    return expected(data, ats, last) != answer(program, file, ats, last)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("program")
    options.add_argument("--lines", type=int, default=40_000)
    options.add_argument("--files", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    options = options.parse_args()
    rng = random.Random(options.seed)
    differences = total = good = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for number in range(options.files):
            lines = [line(rng) for _ in range(options.lines // options.files)]
            ending = rng.choice([b"\n", b"\r\n", b"\r", b"\r\r\n"])
            data = ending.join([guard(number), *lines]) + rng.choice([b"", ending, b"\r"])
            file = folder / f"{number}.log"
            file.write_bytes(gzip.compress(data) if number % 3 == 0 else data)
            total += len(lines) + 1
            times = sorted({event[0] for event in map(clf, (text.decode("latin-1") for text in lines)) if event})
            picked = rng.sample(times, min(15, len(times)))
            ats = sorted({*picked, *(at + 1 for at in picked), *times[:1], *times[-1:], 0, -(10**18), 10**18})
            last = rng.choice([1, 2, 60, 300, 86_400, 10**12])
            want = expected(data, ats, last)
            good += want["events"]
            got = answer(options.program, file, ats, last)
            if got == want:
                continue
            differences += 1
            keys = [key for key in want if not isinstance(got, dict) or got.get(key) != want[key]]
            print(f"file {number} differs in {keys}; {got if isinstance(got, str) else ''}")
            while len(lines) > 1:
                half = len(lines) // 2
                for part in (lines[:half], lines[half:]):
                    if differs(options.program, folder, part, ending, ats, last):
                        lines = part
                        break
                else:
                    break
            print(f"  smallest part: {lines[:3]!r} (ending {ending!r})")
    print(f"{total} lines ({good} well-formed) in {options.files} files, {differences} differences")
    sys.exit(bool(differences))


if __name__ == "__main__":
    main()
