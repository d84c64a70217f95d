"""An independent reader of access logs in common format: the rules of docs/replay.md as regular expressions.

`clf` reads a line, `unwrap` takes off what collectors put around it. Both take latin-1 text, a character for each byte.
"""

import datetime
import ipaddress
import re

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
    """Return whether an address of IPv6 is in a block from which addresses are given out."""
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
        """Return the entries of the list that a text begins with, and what follows; (None, text) without a list."""
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
