"""`GET /openapi.json`: what it says of each route is what the server does."""

import json
import re
import sys
import time
import urllib.parse

import jsonschema
import pytest

from serving import serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")

METHODS = ("get", "post", "put", "delete", "patch", "options", "trace")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("openapi"), "--max-endpoints", "1000") as server:
        yield server


@pytest.fixture(scope="module")
def document(server):
    return server.get("/openapi.json")


def operations(document):
    """Path, method and operation of each."""
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def resolved(document, schema):
    """The schema that a reference means."""
    while "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        schema = document["components"]["schemas"][name]
    return schema


def conform(document, schema, answer):
    """Check an answer by a schema of the document."""
    schema = {**schema, "components": document["components"]}
    jsonschema.validate(answer, schema, jsonschema.Draft202012Validator)


def filled(path, **parts):
    """The path with these parts, or an x for each."""
    return re.sub(r"\{(\w+)\}", lambda part: urllib.parse.quote(parts.get(part[1], "x"), safe=""), path)


def test_it_is_openapi_3_1_and_whole(document):
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"] == "hitring" and document["info"]["version"]
    text = json.dumps(document)
    used = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert used == set(document["components"]["schemas"])
    jsonschema.Draft202012Validator.check_schema({"components": document["components"]})
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    for path, _, operation in operations(document):
        assert operation["summary"], path
        declared = {part["name"] for part in operation.get("parameters", ()) if part["in"] == "path"}
        assert declared == set(re.findall(r"\{(\w+)\}", path))
        refusal = operation["responses"]["default"]["content"]
        assert refusal == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def test_its_routes_are_those_of_the_server(server, document):
    # The server's own list, as it names it to a client that asks for another route.
    detail = server.ask("GET", "/nowhere")[2]["detail"]
    listed = set(re.findall(r"(GET|POST|PUT|DELETE) (/\S*[^\s,])", detail))
    described = {(method.upper(), path) for path, method, _ in operations(document)}
    assert listed == described
    # And what it does: each answers, and no other method of its path.
    for path, item in document["paths"].items():
        for method in METHODS:
            if path == "/metrics" and method == "get":
                continue
            status, headers, answer = server.ask(
                method.upper(), filled(path), "{}" if method in ("post", "put") else None
            )
            if method in item:
                assert status != 405 and (status != 404 or answer["type"] == "urn:hitring:problem:unknown"), path
            else:
                assert status == 405, (method, path)
                assert headers["content-type"] == "application/problem+json"
                allowed = {name.lower() for name in headers["allow"].replace(" ", "").split(",")}
                assert allowed - {"head"} == set(item)
                conform(document, {"$ref": "#/components/schemas/Problem"}, answer)


def test_answers_are_as_described(server, document):
    now = int(time.time())
    server.post("/hits", {"resource_id": "x", "timestamp": now, "visitor": "ann"}, 202)
    server.post("/v1/counter/x/x/increment")
    bodies = {("/hits", "post"): {"resource_id": "x"}, ("/resources", "post"): {"name": "x"}}
    bodies["/v1/counter/{type}/{id}", "put"] = {"value": 5}
    for path, method, operation in operations(document):
        body = bodies.get((path, method))
        body = None if body is None else json.dumps(body)
        connection = server.connect()
        connection.request(method.upper(), filled(path), body, {"content-type": "application/json"} if body else {})
        response = connection.getresponse()
        content = response.read()
        described = operation["responses"][str(response.status)].get("content")
        if described is None:
            assert (response.status, content, response.headers["content-type"]) == (204, b"", None)
            connection.close()
            continue
        media_type = response.headers["content-type"].split(";")[0]
        answer = content.decode() if media_type == "text/plain" else json.loads(content)
        conform(document, described[media_type]["schema"], answer)
        connection.close()


def limits(document):
    """Where a name or a number goes, with its schema: path, method, name, place."""
    for path, method, operation in operations(document):
        for part in operation.get("parameters", ()):
            yield path, method, part["name"], part["in"], resolved(document, part["schema"])
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = resolved(document, content["schema"])
            assert schema["additionalProperties"] is False
            for name, field in schema["properties"].items():
                yield path, method, name, "body", resolved(document, field)


def ask_with(server, path, method, name, place, value):
    """Ask with a value in its place, and return the status."""
    body = {"resource_id": "x"} if path == "/hits" else {"value": 1} if method == "put" else {}
    if place == "path":
        path = filled(path, **{name: value})
    elif place == "query":
        path = f"{filled(path)}?{urllib.parse.urlencode({name: value})}"
    else:
        body[name] = value
        path = filled(path)
    return server.ask(method.upper(), path, json.dumps(body) if method in ("post", "put") else None)


def test_limits_are_the_servers(server, document):
    seen = set()
    for path, method, name, place, schema in limits(document):
        seen.add((schema.get("maxLength"), schema.get("maximum")))
        if schema.get("type") == "string" and "maxLength" in schema:
            assert schema["minLength"] == 1
            longest = schema["maxLength"]
            right, wrong = ["x", "x" * longest, "x" * min(longest, 251)], ["x" * (longest + 1)]
            wrong += [""] if place == "body" else []
        elif schema.get("type") == "integer":
            right, wrong = [schema["minimum"], schema["maximum"]], [schema["minimum"] - 1, schema["maximum"] + 1, "x"]
        else:
            continue
        for value in right:
            status, _, answer = ask_with(server, path, method, name, place, value)
            assert status in (200, 201, 202, 204) or answer["type"] == "urn:hitring:problem:unknown", (
                path,
                name,
                answer,
            )
        for value in wrong:
            status, _, answer = ask_with(server, path, method, name, place, value)
            assert (status, answer["type"]) == (400, "urn:hitring:problem:schema"), (path, name, value)
    assert {(64, None), (256, None), (900, None), (1_000, None), (1_024, None), (None, 1_000)} <= seen
    assert {(None, 1_000_000), (None, 2**53 - 1)} <= seen


def test_a_whole_number_may_have_a_fraction_of_zero(server):
    for number, counted in ((668.0, 668), (1e3, 1_000)):
        name = f"whole-{counted}"
        assert server.post("/hits", {"resource_id": name, "count": number}, 202)["accepted"] == counted
        assert server.post(f"/v1/counter/t/{name}/increment", {"amount": number})["value"] == counted


def test_times_are_as_described(server, document):
    now = time.time()
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    for value in (int(now), now, f"{text}Z", f"{text}.25+00:00", f"{text}-00:00", f"{text.lower()}z"):
        assert server.ask("POST", "/hits", json.dumps({"resource_id": "times", "timestamp": value}))[0] == 202, value
        query = urllib.parse.urlencode({"start_time": value})
        assert server.ask("GET", f"/hits/times?{query}")[0] == 200, value
    schemas = resolved(document, document["components"]["schemas"]["NewHits"]["properties"]["timestamp"])["anyOf"]
    seconds = resolved(document, schemas[0])
    assert (seconds["minimum"], seconds["exclusiveMaximum"]) == (0, 253_402_300_800)
    fitting = (0, 253_402_300_799.5, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "1990-12-31T23:59:60Z")
    for value in fitting:
        # It fits the document, so it is counted, or too late, or lies in the future.
        assert server.ask("POST", "/hits", json.dumps({"resource_id": "x", "timestamp": value}))[0] in (202, 409), value
    for value in (-1, 253_402_300_800, "2021-02-29T00:00:00Z", f"{text}"):
        assert server.ask("POST", "/hits", json.dumps({"resource_id": "x", "timestamp": value}))[0] == 400, value
    for value in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", 0, "253402300799.5", "1e3"):
        query = urllib.parse.urlencode({"end_time": value})
        assert server.ask("GET", f"/hits/times?{query}")[0] == 200, value


def test_a_body_may_be_missing_where_it_says_so(server, document):
    missing = set()
    for path, method, operation in operations(document):
        if "requestBody" not in operation:
            continue
        status, _, _ = server.ask(method.upper(), filled(path))
        if operation["requestBody"].get("required", False):
            assert status == 415, path
        else:
            assert status == 200, path
            missing.add(path)
        # But it is never null.
        assert server.ask(method.upper(), filled(path), "null")[0] == 400
    assert missing == {"/v1/counter/{type}/{id}/increment", "/visits/{page}"}


def test_head_answers_as_get_without_a_body(server, document):
    for path, method, _ in operations(document):
        if method == "get":
            connection = server.connect()
            answers = []
            for asked in ("GET", "HEAD"):
                connection.request(asked, filled(path))
                response = connection.getresponse()
                content = response.read()
                headers = {name: value for name, value in response.getheaders() if name.lower() != "date"}
                if path == "/metrics":
                    headers.pop("content-length")
                answers.append((response.status, headers))
                assert asked == "GET" or content == b"", path
            assert answers[0] == answers[1], path
            connection.close()
