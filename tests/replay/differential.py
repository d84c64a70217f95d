#!/usr/bin/env python3
"""Compares `hitring replay --json` with an independent reader of access logs on lines made to be hard.

usage: differential.py PROGRAM [--lines N] [--files N] [--seed N]

PROGRAM is the built program. The reader is `clf` below: the rules of docs/replay.md as one regular expression.
Lines are put together from fragments and then damaged; they go into files of both line ends, some compressed. For each
file everything that the JSON says is compared: totals, every path with its hits and clients, and windows at seconds
with hits and beside them. When a file differs, it is cut down to the line that makes the difference, which is printed.
Ends with `N lines in N files, N differences` and exits 0 or 1.
"""

import argparse
import bisect
import collections
import datetime
import gzip
import ipaddress
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

WORD = r"([^\x09-\x0d ]+) +"
STAMP = (
    r"\[([0-9]{2})/([A-Z][a-z]{2})/([0-9]{4}):([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?"
    r" ([+-])([0-9]{2}):?([0-9]{2})\]"
)
REQUEST = r'"((?:[^"\\]|\\.)*|.*?)"'
END = r"(?: [0-9]{3}\Z| (?:[0-9]{3}|-) (?:-?[0-9]+|-)(?: .*)?\Z)"
LINE = re.compile(rf"{WORD}{WORD}(?:.*? )??{STAMP} {REQUEST}{END}", re.DOTALL)
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def clf(line):
    """Return time, path and client of a line, which is latin-1 text; None if it is malformed."""
    line, _ = unwrap(line.lstrip("\0"))
    found = LINE.match(line)
    if not found:
        return None
    first, ident, day, month, year, hour, minute, second, sign, hours, minutes, request = found.groups()
    leap = int(second == "60")
    try:
        date = datetime.datetime(
            int(year),
            MONTHS.index(month) + 1,
            int(day),
            int(hour),
            int(minute),
            int(second) - leap,
            tzinfo=datetime.timezone.utc,
        )
    except ValueError:
        return None
    ahead = (int(hours) * 60 + int(minutes)) * 60 * (1 if sign == "+" else -1)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    time = (date - epoch) // datetime.timedelta(seconds=1) + leap - ahead
    words = request.split(" ")
    path = words[1] if len(words) > 1 else ""
    if len(words) > 2 and words[-1].startswith("HTTP/"):
        path = " ".join(words[1:-1])
    return time, path or words[0] or request, client(line, first, ident)


# Colour codes, and what may stand in front of an entry; the first that fits is cut off, up to four times.
COLOURS = re.compile(r"\x1b\[[0-9;]*[mK]|\x1b\(B")
CLOCK = "[0-9]{2}:[0-9]{2}:[0-9]{2}"
ISO = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{CLOCK}(?:[.,][0-9]+)?(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})? "
MONTH = f"(?:{'|'.join(MONTHS)})"
BSD = rf"{MONTH} +[0-9]{{1,2}}(?: [0-9]{{4}})? {CLOCK}(?:\.[0-9]+)? "
JOURNAL = rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}} {CLOCK}(?:\.[0-9]+)? [A-Z0-9:+-]+ "
TIMED = rf"(?:(?:[0-9]+ )?<[0-9]{{1,3}}>)?(?:{ISO}|{BSD}|{JOURNAL})"
NAME = r'[^ "={-][^ "={]*'
PREFIXES = [
    (re.compile(pattern), kind)
    for pattern, kind in [
        (
            rf'(?:[0-9]+ )?<[0-9]{{1,3}}>1 (?:{ISO}|- )(?:[^ ]+ ){{4}}(?:-|(?:\[(?:[^]\\"]|"(?:[^"\\]|\\.)*")*\])+) '
            rf"(?:\xef\xbb\xbf)?",
            "syslog",
        ),
        (r"\[pod/[^] ]+\] ", "kubernetes"),
        (rf"{TIMED}(?:stdout|stderr) [FP] ", "kubernetes"),
        (rf"{TIMED}(?:{NAME} ){{0,2}}?(?:{NAME}(?<!:)|(?<= )[^ \"={{-]): +", "tagged"),
        (TIMED, "timed"),
        ("(?:[0-9]+ )?<[0-9]{1,3}>", "priority"),
        (rf"(?:{CLOCK} |[0-9]+\|)?[A-Za-z0-9][A-Za-z0-9_.@-]* *\| ", "compose"),
    ]
]


def unwrap(line):
    """Return a line without colour codes and prefixes, and the kinds of these."""
    plain = COLOURS.sub("", line)
    kinds = {"colour codes"} if plain != line else set()
    for _ in range(4):
        kind, plain = prefix(plain)
        if kind is None:
            break
        kinds.add(kind)
    return plain.removesuffix("#015") if "syslog" in kinds else plain, kinds


def prefix(line):
    """Return the kind of the prefix of a line, and what is behind it."""
    word = line.split(" ")[0]
    if "." in word and not word.strip("0123456789."):
        return None, line
    kind, rest = collectors(line)
    if kind is None and not line.startswith(("{", "[", "<")):
        rest = grep(line, word[:256])
        kind = None if rest is None else "grep"
    return kind, line if rest is None else rest


def collectors(line):
    """Return the kind and the rest of a line that a collector wrote something in front of; (None, line) if none did."""
    if line.startswith("{"):
        return None, line
    for pattern, kind in PREFIXES:
        found = pattern.match(line)
        if not found or (kind == "compose" and "|" not in line[:256]):
            continue
        rest = line[found.end() :]
        if kind not in ("timed", "tagged", "priority"):
            return kind, rest
        if kind == "priority" and re.match(TIMED, line):
            continue
        plain = "time stamp" if line[0].isdigit() else "syslog"
        if kind == "tagged":
            behind = line[re.match(TIMED, line).end() :]
            if (
                plain == "syslog"
                or rest.startswith("{")
                or begins_with_address(rest)
                or not begins_with_address(behind)
            ):
                return "syslog", rest
            continue
        if is_entry(rest):
            return plain if kind == "timed" else "syslog", rest
        host = re.match(r'[^ ,"(\[]+ ', rest)
        if kind == "timed" and host:
            entry = rest[host.end() :]
            if entry.startswith("{") or is_address(entry.split(" ")[0]):
                return plain, entry
    return None, line


LOG_FILE = re.compile(r"[^ ]*(?:/[^ ]*|(?:\.log|access_log)(?:[.-][0-9]+)*(?:\.gz)?)\Z")


def grep(line, word):
    """Return what follows a prefix of grep, whose end is in `word`, or None."""
    if is_address(word) and given_out(word):
        return None

    def follows(at, numbered, named):
        entry = line[at:]
        first = entry.split(" ")[0]
        if begins_with_address(entry):
            return True
        if not (numbered or named):
            return False
        is_named = re.fullmatch("[A-Za-z0-9._:-]*", first) and first.strip("0123456789")
        return entry.startswith("{") or (is_entry(entry) and is_named) or collectors(entry)[0]

    for found in re.finditer("-", word):
        head = word[: found.start()]
        if (re.search(r"(?:^|-)[0-9]+\Z", head) or LOG_FILE.match(head)) and begins_with_address(line[found.end() :]):
            return line[found.end() :]
    head, colon, rest = word.partition(":")
    if not colon or not head:
        return None
    at = len(head) + 1
    if begins_with_address(line[at:]):
        return line[at:]
    number = re.match("[0-9]+:", rest)
    if number and follows(at + number.end(), True, False):
        return line[at + number.end() :]
    return line[at:] if follows(at, re.fullmatch("[0-9]+", head), LOG_FILE.match(head)) else None


def begins_with_address(text):
    word = re.split(r'[ ,")\]]', text[1:] if text[:1] in ('"', "(", "[") else text)[0]
    return is_address(word) and given_out(word)


def is_entry(text):
    word = text.split(" ")[0]
    return (
        text.startswith("{")
        or text[len(word) :].startswith(" - ")
        or begins_with_address(text)
        or ("a" <= word[:1] <= "z" and "=" in word)
    )


def given_out(word):
    """Return whether an address of IPv6 is in a block that somebody may have addresses of."""
    address = ipaddress.ip_address(word)
    if address.version == 4:
        return True
    first, second = int(address) >> 112, int(address) >> 96 & 0xFFFF
    return first == 0 or 0x2000 <= first <= 0x3FFF or first >= 0xFC00 or (first, second) == (0x64, 0xFF9B)


def client(line, first, second):
    """Return the client of a line whose first words are `first` and `second`."""
    bare = r"(?:[^ ]*, +)*[^ ]*"
    group = r'\([^)]*\)(?= )|\[[^\]]*\](?= )|"[^"]*"(?= )'

    def entries(text):
        return [without_port(entry) for entry in re.split("[, ]", text) if entry]

    def remote(text):
        word = without_port(text.split(" ")[0])
        return word if is_address(word) else None

    def listed(text):
        """Return the entries of the list that a text begins with, and what follows; (None, text) if it is none."""
        found = re.match(group, text)
        if found:
            inside, rest = found[0][1:-1], text[found.end() :].lstrip(" \t\n\r\x0c")
            is_host = found[0][0] == "[" and is_address(inside) and ":" in inside
            if not is_host and (any(map(is_address, entries(inside))) or remote(rest)):
                return entries(inside), rest
            return None, text
        if "," in text.split(" ")[0] and text[:1] not in ("(", "[", '"'):
            found = re.match(bare, text)
            return entries(found[0]), text[found.end() :].lstrip(" ")
        return None, text

    plain, rest = without_port(first), line[len(first) :].lstrip(" ")
    forwarded, behind = listed(line)
    if forwarded is not None:
        connected = remote(behind)
    elif remote(rest):
        connected, forwarded = remote(rest), listed(rest[len(rest.split(" ")[0]) :].lstrip(" \t\n\r\x0c"))[0]
    else:
        forwarded, behind = listed(rest)
        connected = plain if forwarded is None or is_address(plain) else remote(behind)
    forwarded = forwarded or []
    named = forwarded[0] if forwarded else plain
    return next(filter(is_address, forwarded), connected or named)


def without_port(word):
    if is_address(word):
        return word
    inside = re.match(r"\[([^\]]*)\]", word)
    if inside:
        return inside[1] if is_address(inside[1]) else word
    found = re.fullmatch(r"([0-9.]+):([0-9]+)", word)
    return found[1] if found and is_address(found[1]) and int(found[2]) < 65536 else word


def is_address(word):
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return "%" not in word


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
