"""The installed package: what it says of itself, what it brings, what it needs."""

import ast
import doctest
import importlib
import importlib.metadata
import importlib.resources
import pathlib
import re
import subprocess
import sys
import sysconfig

import pytest

import hitring

ROOT = pathlib.Path(__file__).resolve().parents[3]


def test_versions_agree():
    assert hitring.__version__ == importlib.metadata.version("hitring")
    manifest = (ROOT / "Cargo.toml").read_text()
    assert re.search(r'^version = "(.+)"', manifest, re.MULTILINE)[1] == hitring.__version__


def test_metadata():
    metadata = importlib.metadata.metadata("hitring")
    assert metadata["Requires-Python"] == ">=3.9"
    assert metadata["License-Expression"] == "MIT OR Apache-2.0"
    assert set(metadata.get_all("License-File")) == {"LICENSE-APACHE", "LICENSE-MIT"}
    requires = importlib.metadata.requires("hitring") or []
    assert [need for need in requires if "extra ==" not in need] == []


def test_the_console_script():
    entry_points = importlib.metadata.entry_points()
    scripts = (
        entry_points.select(group="console_scripts", name="hitring")
        if hasattr(entry_points, "select")
        else [script for script in entry_points["console_scripts"] if script.name == "hitring"]
    )
    assert {script.value for script in scripts} == {"hitring._program:main"}


def test_it_is_typed():
    files = importlib.resources.files(hitring)
    assert (files / "py.typed").is_file()
    assert (files / "_hitring.pyi").is_file()


def test_one_module_for_every_python():
    assert pathlib.Path(hitring._hitring.__file__).name.startswith("_hitring.")
    if not sysconfig.get_config_var("Py_GIL_DISABLED") and sys.platform != "win32":
        assert pathlib.Path(hitring._hitring.__file__).name == "_hitring.abi3.so"


def test_the_stub_is_a_manual():
    stub = ast.parse((ROOT / "python/hitring/_hitring.pyi").read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    public = {name for name in hitring.__all__ if hasattr(hitring._hitring, name)}
    classes = [node for node in stub.body if isinstance(node, ast.ClassDef) and node.name in public]
    assert len(classes) == 20
    methods = [node for kind in classes for node in kind.body if getattr(node, "name", "_")[0] != "_"]
    assert len(methods) > 25
    for node in (stub, *classes, *methods):
        assert isinstance(node, documented) and ast.get_docstring(node), getattr(node, "name", stub)


def test_everything_that_is_exported_is_there():
    assert len(set(hitring.__all__)) == len(hitring.__all__)
    assert [name for name in hitring.__all__ if not hasattr(hitring, name)] == []
    assert set(hitring._hitring.__all__) >= {"HitCounter", "ManualClock", "SystemClock"}


def test_importing_it_imports_little():
    code = "import sys; before = set(sys.modules); import hitring; print(*sorted(set(sys.modules) - before))"
    ran = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    heavy = {"asyncio", "contextlib", "datetime", "inspect", "logging", "multiprocessing", "numpy", "re", "typing"}
    assert not heavy & set(ran.stdout.split())


MODULES = ["asgi", "django", "fastapi", "flask", "logging", "opentelemetry", "prometheus", "starlette", "wsgi"]
NEEDS = {"opentelemetry": "opentelemetry.sdk", "prometheus": "prometheus_client"}
NEEDS.update(dict.fromkeys(["asgi", "logging", "wsgi"], "hitring"))


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
@pytest.mark.parametrize("module", MODULES)
def test_a_module_warns_of_nothing_and_starts_nothing(module):
    pytest.importorskip(NEEDS.get(module, module))
    code = f"import os, hitring.{module}; print(len(os.listdir('/proc/self/task')))"
    command = [sys.executable, "-I", "-W", "error", "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "1\n", "")


def test_the_gil_stays_off():
    code = "import sys, hitring; print(sys._is_gil_enabled())"
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("this Python cannot go without a GIL")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "False"


def test_the_examples_in_the_package():
    failed, ran = doctest.testmod(hitring)
    assert (failed, ran > 5) == (0, True)


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"django"}))
def test_the_examples_in_a_module(module):
    pytest.importorskip(NEEDS.get(module, module))
    failed, ran = doctest.testmod(importlib.import_module(f"hitring.{module}"))
    assert (failed, ran > 3) == (0, True)


PAGES = sorted(
    page.relative_to(ROOT).as_posix() for folder in (".", "docs", ".github") for page in (ROOT / folder).glob("*.md")
)


def anchors(page):
    """Return the anchors that the headings of a page have on the web."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_the_links_of_a_page_lead_somewhere(name):
    page = ROOT / name
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


EXAMPLES = sorted((ROOT / "examples/python").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.stem for example in EXAMPLES])
def test_an_example_runs(example, tmp_path):
    if example.stem == "shared_file" and sys.platform != "linux":
        pytest.skip("shared files need Linux")
    ran = subprocess.run(
        [sys.executable, example], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert (ran.returncode, ran.stderr) == (0, "") and ran.stdout


def test_there_are_examples():
    assert len(EXAMPLES) >= 4


def test_elsewhere_than_on_linux_shared_files_say_why_they_are_missing():
    script = """
import sys
sys.platform = "darwin"
from hitring import *
import hitring
assert "SharedRegistry" not in hitring.__all__ and "SharedRegistry" not in globals() and HitCounter().count() == 0
try:
    from hitring import SharedRegistry
except ImportError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "hitring.SharedRegistry needs Linux; count by process and merge snapshots instead\n"


def examples(page):
    """The code of a page's Python blocks but for the files of recipes; in a stub, of its docstrings."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return (
        re.findall(r"^```python\n(?!# \w+\.py$)(.*?)^```", text, re.MULTILINE | re.DOTALL)
        if page.endswith(".md")
        else text.split('"""')
    )


@pytest.mark.parametrize("page", ["python/hitring/_hitring.pyi", "docs/python.md", "README.md"])
def test_the_examples_on_a_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = 0
    # A page is typed from top to bottom, so each example has the names of those above it, and no others.
    names = (
        {}
        if page.endswith(".md")
        else {"hitring": hitring, **{name: getattr(hitring, name) for name in hitring.__all__}}
    )
    for example in examples(page):
        parsed = doctest.DocTestParser().get_doctest(example, names, page, page, 0)
        if parsed.examples:
            assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(parsed, clear_globs=False).failed == 0
            if page.endswith(".md"):
                names.update(parsed.globs)
            ran += 1
        elif page.endswith(".md"):
            exec(compile(example, page, "exec"), names)
            ran += 1
    if page == "README.md" and not ran:
        pytest.skip("the README has no Python in it")
    assert ran > 0
