"""What the pages show of the server is what it answers."""

import contextlib
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys

import pytest

from serving import serving

ROOT = pathlib.Path(__file__).parents[3]
ADDRESS = "127.0.0.1:8000"
# What is another each time: times, and ids that the server makes.
VARIES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")


def shown(page):
    """Each curl command of a page, with the lines that it answers."""
    for block in re.findall(r"^```console\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE):
        for entry in re.split(r"^\$ ", block, flags=re.MULTILINE):
            command, _, answer = entry.partition("\n")
            if command.startswith("curl ") and ADDRESS in command and answer:
                yield command, answer


@pytest.mark.parametrize(("page", "least"), [("README.md", 5), ("docs/server.md", 15)])
def test_a_page_shows_what_the_server_answers(tmp_path, page, least):
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    commands = list(shown(page))
    assert len(commands) >= least
    with serving(tmp_path, "--max-endpoints", "40") as server:
        for command, answer in commands:
            # Without the meter that curl shows when its output is not a terminal.
            command = command.replace(ADDRESS, server.address).replace("curl ", "curl -sS ", 1)
            ran = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=True)
            assert VARIES.sub("", ran.stdout).rstrip("\n") == VARIES.sub("", answer).rstrip("\n"), command


def test_the_queries_of_the_page_answer(tmp_path):
    page = (ROOT / "docs/server.md").read_text()
    (block,) = re.findall(r"^```sql\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    queries = [query for query in block.split(";\n") if query.strip()]
    assert len(queries) == 4
    with serving(tmp_path, "--max-endpoints", "40") as server:
        server.post("/resources", {"name": "a page"}, 201)
        server.ask("PUT", "/v1/counter/likes/7", '{"value": 1000}', {"idempotency-key": "one"})
        for _ in range(3):
            server.post("/visits/home")
        assert server.stop() == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "hitring.db")) as database:
        answers = [database.execute(query).fetchall() for query in queries]
    assert answers[0] == [("counter/likes/7", 1000, 0), ("visits/home", 3, 3)]
    assert [(name, hits) for name, _, hits in answers[1]] in (
        [("visits/home", 3)],
        [("visits/home", 1), ("visits/home", 2)],
    )
    assert [name for _, name, _ in answers[2]] == ["a page"]
    assert [(key, status) for key, status, _, _ in answers[3]] == [("one", 200)]


def test_the_page_shows_every_route(tmp_path):
    commands = [command for command, _ in shown("docs/server.md")]
    with serving(tmp_path, "--max-endpoints", "40") as server:
        document = server.get("/openapi.json")
    for path, item in document["paths"].items():
        for method in item:
            route = re.compile(re.sub(r"\{\w+\}", r"[^/ ?']+", path) + r"(\?|'| |$)")
            found = [
                command
                for command in commands
                if route.search(command.split(ADDRESS)[1])
                and re.search(r"-X (\w+)|$", command)[1] == (None if method == "get" else method.upper())
            ]
            assert found, (method, path)
