"""The recipes of docs/python.md run as they stand there, and are typed."""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import time

import pytest

import recipes
from hitring import SharedRegistry, labelled

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files are shared on Linux only")

SCRIPTS = sysconfig.get_path("scripts")
SERVED = {"gunicorn, Flask, four workers", "uvicorn, FastAPI, two workers"}
"""Those that test_workers.py runs."""
ELSEWHERE = {"Celery", "RQ"}
NEEDS = {
    "timestamps.py": ["numpy", "pandas"],
    "plot.py": ["matplotlib"],
    "test_service.py": ["freezegun"],
    "telemetry.py": ["opentelemetry.sdk"],
}


def environment(folder, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON", "COV"))}
    return {**kept, "PATH": f"{SCRIPTS}:{os.environ['PATH']}", "HITS": str(folder / "hits.ring"), **more}


def run(command, folder, **more):
    return subprocess.run(
        command, cwd=folder, env=environment(folder, **more), capture_output=True, text=True, timeout=120, check=False
    )


def missing(names):
    return [name for name in names if importlib.util.find_spec(name.partition(".")[0]) is None]


def test_every_recipe_is_run():
    assert set(recipes.headings()) > SERVED | ELSEWHERE
    for heading in recipes.headings():
        files, commands = recipes.recipe(heading)
        assert files and commands, heading


@pytest.mark.parametrize("heading", sorted(set(recipes.headings()) - SERVED - ELSEWHERE))
def test_a_recipe(heading, tmp_path):
    commands = recipes.write(heading, tmp_path)
    for file in tmp_path.iterdir():
        if missing(NEEDS.get(file.name, [])):
            pytest.skip(f"no {missing(NEEDS[file.name])}")
    for command, printed in commands:
        ran = run(
            ["/bin/sh", "-c", command],
            tmp_path,
            PYTHONWARNINGS="error" if "pytest" not in command else "",
            MPLBACKEND="agg",
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        if "pytest" in command:
            assert "1 passed" in ran.stdout
        else:
            assert ran.stdout == printed
            assert ran.stderr == ""
    if heading.startswith("A plot"):
        assert (tmp_path / "hits.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def all_of_them(tmp_path_factory):
    """The files of all recipes in one folder, each under a name of its own."""
    folder = tmp_path_factory.mktemp("recipes")
    for number, heading in enumerate(recipes.headings()):
        for name, text in recipes.recipe(heading)[0].items():
            (folder / f"r{number}_{name}").write_text(text.replace("import jobs\n", f"import r{number}_jobs as jobs\n"))
    return folder


# Without types of their own, or with few.
UNTYPED = ("celery", "matplotlib", "pandas", "rq")


def test_mypy_takes_the_recipes(all_of_them):
    if missing(["mypy"]):
        pytest.skip("no mypy")
    (tasks,) = all_of_them.glob("*_tasks.py")
    (all_of_them / "mypy.ini").write_text(
        "[mypy]\nstrict = true\n"
        f"[mypy-{','.join(f'{name}.*' for name in UNTYPED)}]\nignore_missing_imports = true\n"
        f"[mypy-{tasks.stem}]\ndisallow_untyped_decorators = false\n"
    )
    names = sorted(file.name for file in all_of_them.glob("*.py"))
    ran = run([sys.executable, "-m", "mypy", "--config-file", "mypy.ini", *names], all_of_them)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_pyright_takes_the_recipes(all_of_them):
    if missing(["basedpyright"]):
        pytest.skip("no basedpyright")
    names = [
        file.name
        for file in all_of_them.glob("*.py")
        if not re.search(rf"^(from|import) ({'|'.join(UNTYPED)})", file.read_text(), re.MULTILINE)
    ]
    assert len(names) >= 8
    (all_of_them / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "strict", "include": sorted(names)})
    )
    ran = run([sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable], all_of_them)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture
def redis(tmp_path):
    """The address of a Redis of the test's own."""
    program = shutil.which(os.environ.get("HITRING_REDIS_SERVER", "redis-server"))
    if program is None:
        pytest.skip("no redis-server here; install it or set HITRING_REDIS_SERVER")
    folder = tmp_path / "redis"
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait(10)


def counted(folder):
    return SharedRegistry(folder / "hits.ring", mode="read").totals_ever()


def test_tasks_of_celery_are_counted(redis, tmp_path):
    pytest.importorskip("celery")
    ((command, _),) = recipes.write("Celery", tmp_path)
    more = {"BROKER": redis}
    ask = "from tasks import double; [double.delay(number) for number in (1, 2, None)]"
    assert run([sys.executable, "-c", ask], tmp_path, **more).returncode == 0
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            command.split(), cwd=tmp_path, env=environment(tmp_path, **more), stdout=log, stderr=log
        )
    try:
        for _ in range(600):
            if sum(counted(tmp_path).values()) >= 3 or worker.poll() is not None:
                break
            time.sleep(0.05)
    finally:
        worker.terminate()
        worker.wait(30)
    assert counted(tmp_path) == {
        labelled("tasks", task="tasks.double", state="SUCCESS"): 2,
        labelled("tasks", task="tasks.double", state="FAILURE"): 1,
    }, (tmp_path / "worker.log").read_text()


def test_jobs_of_rq_are_counted(redis, tmp_path):
    pytest.importorskip("rq")
    said = ""
    for command, _ in recipes.write("RQ", tmp_path):
        ran = run(command.split(), tmp_path, RQ_REDIS_URL=redis, PYTHONPATH=str(tmp_path))
        said += ran.stderr
        assert ran.returncode == 0, said
    assert counted(tmp_path) == {
        labelled("jobs", job="jobs.double", state="SUCCESS"): 2,
        labelled("jobs", job="jobs.double", state="FAILURE"): 1,
    }, said
