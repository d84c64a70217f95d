"""Settings of `hitring serve`: a file, the environment and the command line; `hitring config`."""

import json
import os
import subprocess
import sys

import pytest

from serving import PROGRAM, serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")


def run(*command, **environment):
    ran = subprocess.run([PROGRAM, *command], capture_output=True, text=True, env={**os.environ, **environment})
    return ran.returncode, ran.stdout, ran.stderr


def test_options_win_over_the_environment_and_that_over_the_file(tmp_path):
    file = tmp_path / "hitring.toml"
    file.write_text('window = 40\nauto_create = false\nmax_endpoints = 100\ndurability = "disk"\n')
    for number, (options, environment, window) in enumerate(
        [
            (("--config", file), {}, 40),
            ((), {"HITRING_CONFIG": str(file)}, 40),
            (("--config", file), {"HITRING_WINDOW": "50"}, 50),
            (("--config", file, "--window", "60"), {"HITRING_WINDOW": "50"}, 60),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with serving(folder, *options, environment=environment) as server:
            assert server.metric("hitring_ring_window_seconds") == window
            assert server.metric("hitring_ring_lives_max") == 100
            assert server.post("/hits", {"resource_id": "unknown"}, 404)["type"] == "urn:hitring:problem:unknown"


def test_a_wrong_setting_is_named_and_nothing_is_started(tmp_path):
    file = tmp_path / "hitring.toml"
    for content, fault in [
        ("window = 40\nwindows = 50\n", '2:1: the setting "windows" is not known; there are listen, '),
        ("\n  flush_every = '1'\n", "2:17: flush_every is of the type string; give a whole number"),
        ('listen = "nowhere"\n', '1:10: listen is "nowhere": invalid socket address syntax'),
        ("[limit]\nburst = 0\n", '2:9: limit.burst is "0": 0 is not in 1..=4294967296'),
        ("new_ring = true\n", "1:1: new_ring is not a setting of a file; give --new-ring on the command line"),
    ]:
        file.write_text(content)
        data = tmp_path / "data"
        for command in (("serve", "--config", file, "--data", data), ("config", "--check", file)):
            code, out, error = run(*command)
            assert (code, out) == (1, "") and error.startswith(f"hitring: {file}:{fault}"), error
            assert error.count("\n") == 1
        assert not data.exists()
    missing = tmp_path / "missing.toml"
    assert run("serve", "--config", missing) == (
        1,
        "",
        f"hitring: {missing}: no such file; give the path of a file of settings\n",
    )
    code, out, error = run("serve", "--window", "0")
    assert code == 2 and "'--window <SECONDS>'" in error and out == ""
    code, out, error = run("serve", HITRING_WINDOW="0")
    assert code == 2 and error.endswith("The value is that of the environment variable HITRING_WINDOW.\n")
    # The option is wrong, and not the variable.
    code, out, error = run("serve", "--window", "1", "--keep", "x", HITRING_WINDOW="2", HITRING_KEEP="3")
    assert code == 2 and "'--keep <SECONDS>'" in error and "environment" not in error


def test_settings_that_do_not_fit_together_are_named_before_anything_is_made(tmp_path):
    file = tmp_path / "hitring.toml"
    data = tmp_path / "data"
    for content, fault in [
        ("[limit]\nburst = 5\n", "--limit-burst needs --limit-client; in a file, limit.burst needs limit.client"),
        (
            "[limit]\nclient = '4000000000/s'\n",
            "--limit-client (in a file, limit.client) cannot be kept: too many in too ",
        ),
        (
            "[limit]\nglobal = '4000000000/s'\n",
            "--limit-global (in a file, limit.global) cannot be kept: too many in too ",
        ),
        (
            "[limit]\nclient = '1/36500d'\nburst = 3\n",
            "--limit-client (in a file, limit.client) cannot be kept: a burst of ",
        ),
        (
            "flush_every = 151\n",
            "--flush-every (in a file, flush_every) is 151, which is too rare for a window of 300 s",
        ),
    ]:
        file.write_text(content)
        code, out, error = run("serve", "--config", file, "--data", data)
        assert (code, out) == (1, "") and json.loads(error)["message"].startswith(fault), error
        code, out, error = run("config", "--check", file)
        assert (code, out) == (1, "") and error.startswith(f"hitring: {fault}") and error.count("\n") == 1, error
        assert not data.exists()
    # As `serve` does, it takes what the environment gives.
    file.write_text("[limit]\nburst = 5\n")
    assert run("config", "--check", file, HITRING_LIMIT_CLIENT="9/s")[0] == 0
    code, out, error = run("config", "--check", file, HITRING_LOG_LEVEL="loud")
    assert (code, out) == (1, "") and error.count("\n") == 1
    assert "debug" in error and "environment variable HITRING_LOG_LEVEL" in error


def test_the_example_is_a_file_without_a_fault(tmp_path):
    code, example, error = run("config", "--example")
    assert (code, error) == (0, "")
    file = tmp_path / "hitring.toml"
    file.write_text(example)
    assert run("config", "--check", file) == (0, "hitring: the file has no fault\n", "")
    with serving(tmp_path, "--config", file) as server:
        assert server.metric("hitring_ring_window_seconds") == 300
    assert run("config")[0] == run("config", "--example", "--check", file)[0] == 2
