"""`hitring serve` and clients that mean it no good, each beside a neighbour that is answered in time."""

import itertools
import json
import random
import re
import socket
import struct
import sys

import pytest

from serving import neighbour, problem, request, rest, serving, status, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")

# What the kernel's buffers never take of one connection. A server that has read more than this reads on for ever.
MOST_SENT = 16 << 20


def of_json(body, *lines, target=b"/hits"):
    length = b"content-length: %d" % len(body)
    return request(target, b"content-type: application/json", length, b"connection: close", *lines, body=body)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("hostile"), "--max-endpoints", "1000") as server, neighbour(server) as beside:
        yield server, beside


@pytest.fixture
def server(served):
    """A server that others use as well, and the neighbour was answered in time at the end of every test."""
    server, beside = served
    yield server
    assert server.process.poll() is None
    beside.check()


# Requests in which another one hides.

# A server that finds it and takes it for a request counts a visit to a page of its own.
HIDDEN = request(b"/visits/hidden-%s")
SMUGGLED = {
    # what the head says of the length, the body before the hidden request, how often the outer one is counted;
    # ALL is the length of both, so that the hidden one is a part of the body for a server that believes it
    "two lengths": ((b"content-length: 0", b"content-length: ALL"), b"", 0),
    "two lengths in one line": ((b"content-length: 0, ALL",), b"", 0),
    "a length with a sign": ((b"content-length: +0",), b"", 0),
    "a negative length": ((b"content-length: -1",), b"", 0),
    "a length in hexadecimal": ((b"content-length: 0x0",), b"", 0),
    "a length of nothing": ((b"content-length: ",), b"", 0),
    "a length beyond 64 bits": ((b"content-length: 18446744073709551616",), b"", 0),
    "a space before the colon": ((b"transfer-encoding : chunked",), b"0\r\n\r\n", 0),
    "a folded line": ((b"x: y", b" transfer-encoding: chunked"), b"0\r\n\r\n", 0),
    "an encoding of another name": ((b"transfer-encoding: xchunked",), b"0\r\n\r\n", 0),
    "an encoding after the chunks": ((b"transfer-encoding: chunked, identity",), b"0\r\n\r\n", 0),
    # RFC 9112, 6.1: the chunks win, and the connection ends.
    "a length and chunks": ((b"content-length: ALL", b"transfer-encoding: chunked"), b"0\r\n\r\n", 1),
    "chunks and a length": ((b"transfer-encoding: chunked", b"content-length: 5"), b"0\r\n\r\n", 1),
}


@pytest.mark.parametrize("how", SMUGGLED)
def test_no_request_is_smuggled(server, how):
    lines, body, counted = SMUGGLED[how]
    name = b"smuggled-%d" % list(SMUGGLED).index(how)
    body += HIDDEN % name
    lines = [line.replace(b"ALL", b"%d" % len(body)) for line in lines]
    answer = server.tell(request(b"/visits/" + name, *lines, body=body))
    # One answer at most, and none that says that the hidden one was done.
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert status(answer) in ((None, 400) if counted == 0 else (None, 200))
    assert server.get(f"/visits/{name.decode()}")["visits"] == counted
    assert server.get(f"/visits/hidden-{name.decode()}")["visits"] == 0


def test_no_chunked_request_of_http_1_0_is_smuggled(server):
    head = b"POST /visits/old HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    assert status(server.tell(head + HIDDEN % b"old")) in (None, 400)
    assert server.get("/visits/old")["visits"] == server.get("/visits/hidden-old")["visits"] == 0


CHUNKS = {
    "a size that is none": b"zz\r\n{}\r\n0\r\n\r\n",
    "a negative size": b"-2\r\n{}\r\n0\r\n\r\n",
    "a size with 0x": b"0x2\r\n{}\r\n0\r\n\r\n",
    "no size": b"\r\n{}\r\n0\r\n\r\n",
    "a size beyond 64 bits": b"10000000000000002\r\n{}\r\n0\r\n\r\n",
    "a space before the size": b" 2\r\n{}\r\n0\r\n\r\n",
    "a line without a carriage return": b"2\n{}\n0\n\n",
    "a chunk that is longer than said": b"1\r\n{}\r\n0\r\n\r\n",
    "a chunk that is shorter than said": b"9\r\n{}\r\n0\r\n\r\n",
    "an extension of 20 kB": b"2;" + b"x" * 20_000 + b"\r\n{}\r\n0\r\n\r\n",
    "an extension with a line feed": b"2;x\ny\r\n{}\r\n0\r\n\r\n",
    "a trailer of 20 kB": b"2\r\n{}\r\n0\r\nx: " + b"x" * 20_000 + b"\r\n\r\n",
    "2,000 trailers": b"2\r\n{}\r\n0\r\n" + b"x: y\r\n" * 2_000 + b"\r\n",
    "noise": random.Random(1).randbytes(300),
}


@pytest.mark.parametrize("how", CHUNKS)
def test_broken_chunks_are_not_counted(server, how):
    name = b"chunks-%d" % list(CHUNKS).index(how)
    lines = (b"content-type: application/json", b"transfer-encoding: chunked")
    answer = server.tell(request(b"/visits/" + name, *lines, body=CHUNKS[how] + HIDDEN % name))
    name = name.decode()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert (status(answer), problem(answer)) == (400, "schema")
    assert server.get(f"/visits/{name}")["visits"] == 0
    assert server.get(f"/visits/hidden-{name}")["visits"] == 0


# Bytes that are no text, and text that is hardly any.

BAD_HEADS = {
    "NUL in the target": request(b"/visits/bad\0"),
    "NUL in the middle of the target": request(b"/visits/bad\0x"),
    "bad UTF-8 in the target": request(b"/visits/bad\xff\xfe"),
    "bad UTF-8 in the query": request(b"/visits/bad?\xff"),
    "a control character in the target": request(b"/visits/bad\x01"),
    "a delete in the target": request(b"/visits/bad\x7f"),
    "a tab in the target": request(b"/visits/bad\tx"),
    "a carriage return in the target": request(b"/visits/bad\rx"),
    "a space in the target": request(b"/visits/bad x"),
    "a target without a slash": request(b"visits/bad"),
    "NUL in a value": request(b"/visits/bad", b"x: a\0b"),
    "a control character in a value": request(b"/visits/bad", b"x: a\x01b"),
    "a delete in a value": request(b"/visits/bad", b"x: a\x7fb"),
    "a carriage return in a value": request(b"/visits/bad", b"x: a\rb"),
    "a line without a colon": request(b"/visits/bad", b"x"),
    "NUL in a name": request(b"/visits/bad", b"x\0: y"),
    "bad UTF-8 in a name": request(b"/visits/bad", b"\xff\xfe: y"),
    "a space in a name": request(b"/visits/bad", b"x y: z"),
    "a name of nothing": request(b"/visits/bad", b": y"),
    "a version that is none": b"POST /visits/bad HTTP/9.9\r\nhost: x\r\n\r\n",
    "no version": b"POST /visits/bad\r\n\r\n",
    "a hello of TLS": bytes.fromhex("16030100c8010000c40303") + random.Random(2).randbytes(194),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "zeros": bytes(1_000),
    "noise": random.Random(3).randbytes(1_000),
    "Redis": b"*2\r\n$4\r\nINCR\r\n$3\r\nbad\r\n",
    "SMTP": b"EHLO x\r\n",
    "SSH": b"SSH-2.0-x\r\n",
}


# hyper says nothing to one that speaks HTTP/2.
UNANSWERED = "the preface of HTTP/2"


@pytest.mark.parametrize("how", BAD_HEADS)
def test_what_is_not_http_is_answered_400_and_not_counted(server, how):
    answer = server.tell(BAD_HEADS[how] + HIDDEN % b"bad")
    assert status(answer) == (None if how == UNANSWERED else 400)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert server.get("/visits/bad")["visits"] == server.get("/visits/hidden-bad")["visits"] == 0


BIG_HEADS = {
    "a target of 70 kB": request(b"/visits/" + b"x" * 70_000),
    "a header of 500 kB": request(b"/visits/big", b"x: " + b"x" * 500_000),
    "ten headers of 50 kB": request(b"/visits/big", *[b"x: " + b"x" * 50_000] * 10),
    "200 headers": request(b"/visits/big", *[b"x: y"] * 200),
    "a method of 100 kB": b"A" * 100_000,
}


@pytest.mark.parametrize("how", BIG_HEADS)
def test_big_heads_are_answered_431_and_not_counted(server, how):
    answer = server.tell(BIG_HEADS[how] + HIDDEN % b"big")
    assert status(answer) == 431
    assert answer.count(b"HTTP/1.1 ") == 1
    assert server.get("/visits/big")["visits"] == server.get("/visits/hidden-big")["visits"] == 0


@pytest.mark.parametrize("line", [b"\r\n", b"\n"])
def test_empty_lines_are_no_way_around_the_size_of_a_head(server, line):
    assert status(server.tell(line * 100_000)) == 431


def test_heads_of_less_are_read(server):
    assert status(server.tell(request(b"/visits/" + b"x" * 15_000, b"connection: close"))) == 400
    lines = [b"x: y"] * 98
    assert status(server.tell(request(b"/visits/98", *lines, b"connection: close"))) == 200


def test_an_answer_does_not_wait_for_the_next_request(server):
    with server.open() as opened:
        opened.sendall(request(b"/visits/begun") + b"P")
        opened.settimeout(10)
        assert status(opened.recv(1_000)) == 200


def test_values_of_headers_need_not_be_text(server):
    answer = server.tell(request(b"/visits/value", b"x: \xff\xfe\t\x80", b"connection: close"))
    assert status(answer) == 200
    answer = server.tell(
        request(b"/hits", b"content-type: \xff", b"content-length: 2", b"connection: close", body=b"{}")
    )
    assert (status(answer), problem(answer)) == (415, "media-type")


# In a path and in JSON.
NAMES = {"cut\0one": "cut%00one", "\x01\x1b[2J\x7f": "%01%1b%5B2J%7f", "\r\nset-cookie: x": "%0d%0aset-cookie:%20x"}


@pytest.mark.parametrize("name", NAMES)
def test_names_may_hold_what_no_line_may(server, name):
    for _ in range(2):
        answer = server.tell(of_json(json.dumps({"resource_id": name}).encode()))
        head, body = answer.split(b"\r\n\r\n", 1)
        assert (status(answer), json.loads(body)) == (202, {"resource_id": name, "accepted": 1})
        # Nothing that a name holds gets out of its string.
        assert b"cookie" not in head and not re.search(rb"[\0-\x1f]", body)
    assert server.get(f"/hits/{NAMES[name]}")["count"] == 2
    assert server.post(f"/visits/{NAMES[name]}")["visits"] == 1
    # It is not cut at the NUL.
    assert server.ask("GET", "/hits/cut")[0] == 404 and server.get("/visits/cut")["visits"] == 0


@pytest.mark.parametrize("target", [b"%ff", b"%c0%80", b"%ed%a0%80", b"a%80", b"%f5%80%80%80"])
def test_names_that_are_not_utf_8_are_refused(server, target):
    answer = server.tell(request(b"/visits/" + target, b"connection: close"))
    assert (status(answer), problem(answer)) == (400, "schema")


BAD_BODIES = {
    "NUL in a string": b'{"resource_id":"bad\0"}',
    "NUL after the document": b'{"resource_id":"bad"}\0',
    "nothing but NUL": bytes(100),
    "a control character": b'{"resource_id":"bad\x01"}',
    "a line feed in a string": b'{"resource_id":"bad\n"}',
    "bad UTF-8 in a string": b'{"resource_id":"bad\xff"}',
    "bad UTF-8 in a key": b'{"resource_id":"bad","\xff":1}',
    "a NUL of two bytes": b'{"resource_id":"bad\xc0\x80"}',
    "half a surrogate": b'{"resource_id":"bad\\ud800"}',
    "a surrogate in UTF-8": b'{"resource_id":"bad\xed\xa0\x80"}',
    "UTF-16": '{"resource_id":"bad"}'.encode("utf-16"),
    "a mark of the order of bytes": b'\xef\xbb\xbf{"resource_id":"bad"}',
    "deep lists": b"[" * 65_536,
    "deep objects": b'{"a":' * 13_107,
    "deep lists in a name": b'{"resource_id":' + b"[" * 65_000,
    "deep lists in a number": b'{"resource_id":"bad","count":' + b"[" * 65_000,
    "deep objects in a number": b'{"resource_id":"bad","count":' + b'{"a":' * 13_000,
    "deep lists in a time": b'{"resource_id":"bad","timestamp":' + b"[" * 65_000,
    "deep objects in a visitor": b'{"resource_id":"bad","visitor":' + b'{"a":' * 13_000,
    "a deep list that is closed": b'{"resource_id":"bad","x":' + b"[" * 32_000 + b"]" * 32_000 + b"}",
    "a name of 60 kB": b'{"resource_id":"%s"}' % (b"x" * 60_000),
    "a name of 60 kB of escapes": b'{"resource_id":"%s"}' % (b"\\u0000" * 10_000),
    "a visitor of 60 kB": b'{"resource_id":"bad","visitor":"%s"}' % (b"x" * 60_000),
    "a time of 60 kB": b'{"resource_id":"bad","timestamp":"%s"}' % (b"x" * 60_000),
    "a time of 60 kB of digits": b'{"resource_id":"bad","timestamp":"%s"}' % (b"9" * 60_000),
    "a key of 60 kB": b'{"resource_id":"bad","%s":1}' % (b"x" * 60_000),
    "a number of 65 kB": b'{"resource_id":"bad","count":%s}' % (b"9" * 65_500),
    "an exponent of 65 kB": b'{"resource_id":"bad","count":1e%s}' % (b"9" * 65_500),
    "a time that is a number of 65 kB": b'{"resource_id":"bad","timestamp":%s}' % (b"9" * 65_500),
    "a number of 64 KiB alone": b"9" * 65_536,
}


@pytest.mark.parametrize("how", BAD_BODIES)
def test_bodies_that_are_no_json_or_too_much_of_it_are_refused(server, how):
    assert len(BAD_BODIES[how]) <= 65_536
    answer = server.tell(of_json(BAD_BODIES[how]))
    assert (status(answer), problem(answer)) == (400, "schema")
    assert server.ask("GET", "/hits/bad")[0] == 404
    for target in (b"/visits/bad", b"/v1/counter/bad/bad/increment"):
        answer = server.tell(of_json(BAD_BODIES[how], target=target))
        assert (status(answer), problem(answer)) == (400, "schema")
    assert server.get("/visits/bad")["visits"] == 0 and server.ask("GET", "/v1/counter/bad/bad")[0] == 404


def test_long_numbers_are_read(server):
    for name, number, accepted in (("zeros", b"1." + b"0" * 65_000, 1), ("little", b"0." + b"0" * 65_000, 0)):
        answer = server.tell(of_json(b'{"resource_id":"%s","count":%s}' % (name.encode(), number)))
        assert (status(answer), json.loads(answer.split(b"\r\n\r\n")[1])["accepted"]) == (202, accepted)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_json_beyond_the_size_of_a_body_is_refused(server, opening):
    answer = server.tell(of_json(opening * 100_000))
    assert (status(answer), problem(answer)) == (413, "too-large")


# Bodies without an end.


def poured(server, head, part):
    """Send a body until the server has enough of it, and return how much went and what was answered."""
    with server.open() as opened:
        sent = 0
        try:
            opened.sendall(head)
            while sent < 1_000_000_000:
                sent += opened.send(part)
        except ConnectionError:
            pass
        return sent, rest(opened)


def test_a_body_of_a_gigabyte_is_not_read(server):
    lines = (b"content-type: application/json", b"content-length: 1000000000")
    sent, answer = poured(server, request(b"/hits", *lines), bytes(1 << 16))
    assert sent < MOST_SENT
    assert (status(answer), problem(answer)) == (413, "too-large")


ENDLESS = {"bytes": b"1\r\n \r\n" * 10_000, "chunks": b"10000\r\n" + b" " * 65_536 + b"\r\n"}


@pytest.mark.parametrize("part", ENDLESS)
def test_a_body_without_an_end_is_not_read(server, part):
    lines = (b"content-type: application/json", b"transfer-encoding: chunked")
    sent, answer = poured(server, request(b"/hits", *lines), ENDLESS[part])
    assert sent < MOST_SENT
    assert (status(answer), problem(answer)) == (413, "too-large")


# One Host, as RFC 9112 (3.2) wants it, or none of HTTP/1.0.
HOSTS = {
    b"POST /visits/host HTTP/1.1\r\nconnection: close\r\n\r\n": 400,
    b"POST /visits/host HTTP/1.1\r\nhost: x\r\nhost: y\r\nconnection: close\r\n\r\n": 400,
    b"POST /visits/host HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n": 200,
    b"POST /visits/host HTTP/1.0\r\n\r\n": 200,
}


@pytest.mark.parametrize("head", HOSTS)
def test_a_request_has_one_host(server, head):
    before = server.get("/visits/host")["visits"]
    assert status(server.tell(head)) == HOSTS[head]
    assert server.get("/visits/host")["visits"] == before + (HOSTS[head] == 200)


def test_a_problem_repeats_little_of_a_request(server):
    for body in (
        b'{"resource_id":"a","%s":1}' % (b"x" * 60_000),
        b'{"resource_id":"a","%s":1}' % (b"\xc3\xbc" * 30_000),
    ):
        answer = server.tell(of_json(body))
        assert status(answer) == 400 and len(answer) < 3_000
        assert "expected one of" in json.loads(answer.split(b"\r\n\r\n")[1])["detail"]


def test_who_resets_leaves_nothing_behind(tmp_path):
    middles = [
        b"",
        b"POST /visits/reset HTTP/1.1\r\nho",
        request(b"/hits", b"content-type: application/json", b"content-length: 50", body=b'{"resource_id"'),
        request(b"/visits/reset", b"transfer-encoding: chunked", body=b"5\r\n{"),
        request(b"/visits/reset") * 1_000,
    ]
    with serving(tmp_path) as server:
        before = server.descriptors()
        with neighbour(server) as beside:
            for middle in itertools.islice(itertools.cycle(middles), 200):
                opened = server.open()
                # Closed at once, with a reset.
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                opened.sendall(middle)
                opened.close()
            beside.check()
        assert server.get("/visits/reset")["visits"] <= 40 * 1_000
        assert until(lambda: server.descriptors() == before), server.descriptors()
