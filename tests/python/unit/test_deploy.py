"""What deploy/ has fits the program and the project."""

import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

import pytest

ROOT = pathlib.Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
PROGRAM = pathlib.Path(sysconfig.get_path("scripts"), "hitring")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")


def options(command):
    """Assert that the program knows all options of a command of its own."""
    told = subprocess.run([PROGRAM, command[0], "--help"], capture_output=True, text=True, check=True).stdout
    given = [word for word in command if word.startswith("--")]
    assert given and all(f"{option} " in told for option in given), given


def test_the_unit_is_right_and_confined(tmp_path):
    text = (DEPLOY / "hitring.service").read_text()
    program, *command = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)[1].split()
    options(command)
    for variable in re.findall(r"HITRING_\w+", text):
        told = subprocess.run([PROGRAM, "serve", "--help"], capture_output=True, text=True, check=True).stdout
        assert f"[env: {variable}=]" in told
    # The ring needs the kernel's name of this boot, which is in /proc/sys.
    assert "ProcSubset" not in text
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    unit = tmp_path / "hitring.service"
    unit.write_text(text.replace(program, str(PROGRAM)))
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    # Of 100: the lower, the less it may do. Older versions know no such question.
    security = ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit]
    checked = subprocess.run(security, capture_output=True, text=True)
    assert checked.returncode == 0 or "unrecognized option" in checked.stderr, checked.stdout


def test_the_image_has_what_it_copies_and_starts_the_server():
    text = (DEPLOY / "Dockerfile").read_text()
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split())
    entry, command = (re.search(rf"^{word} \[(.*)\]$", text, re.MULTILINE)[1] for word in ("ENTRYPOINT", "CMD"))
    assert re.search(rf"^COPY --from=build \S+ {entry[1:-1]}$", text, re.MULTILINE)
    command = [word.strip('"') for word in command.split(", ")]
    options(command)
    assert f"VOLUME {command[command.index('--data') + 1]}\n" in text
    assert f"EXPOSE {command[command.index('--listen') + 1].split(':')[1]}\n" in text
