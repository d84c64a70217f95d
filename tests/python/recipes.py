"""The recipes of docs/python.md: the files and the commands under a heading."""

import pathlib
import re

PAGE = pathlib.Path(__file__).parents[2] / "docs/python.md"


def headings():
    """The headings of all recipes."""
    (section,) = re.findall(r"^## Recipes\n(.*?)^## ", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return re.findall(r"^### (.*)$", section, re.MULTILINE)


def recipe(heading):
    """Return the files by name, and each command with the lines that it prints."""
    text = PAGE.read_text()
    (section,) = re.findall(rf"^### {re.escape(heading)}\n(.*?)^##", text, re.DOTALL | re.MULTILINE)
    files = dict(re.findall(r"^```python\n# (\S+)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE))
    commands = []
    for block in re.findall(r"^```console\n(.*?)^```$", section, re.DOTALL | re.MULTILINE):
        for entry in block.split("$ ")[1:]:
            command, _, printed = entry.partition("\n")
            commands.append((command, printed))
    return files, commands


def write(heading, folder):
    """Write the files of a recipe into a folder, and return its commands."""
    files, commands = recipe(heading)
    for name, text in files.items():
        (folder / name).write_text(text)
    return commands
