"""What Cargo.toml says, for tests/run.

``metadata.py features`` prints the crate's features, one a line. ``metadata.py msrv`` prints the oldest Rust that the
crate promises, and fails when a dependency in Cargo.lock asks for a later one.
"""

import json
import subprocess
import sys


def main() -> int:
    metadata = json.loads(
        subprocess.check_output(["cargo", "metadata", "--locked", "--all-features", "--format-version", "1"])
    )
    (crate,) = (package for package in metadata["packages"] if package["id"] in metadata["workspace_members"])
    if sys.argv[1:] == ["features"]:
        print(*(feature for feature in crate["features"] if feature != "default"), sep="\n")
        return 0
    if sys.argv[1:] == ["msrv"]:
        later = [
            f"{package['name']} {package['version']} asks for Rust {package['rust_version']}"
            for package in metadata["packages"]
            if version(package["rust_version"]) > version(crate["rust_version"])
        ]
        print(*later, sep="\n", file=sys.stderr)
        print(crate["rust_version"])
        return 1 if later else 0
    print(__doc__, file=sys.stderr)
    return 2


def version(text):
    """The three parts of a version as numbers; of none, the oldest."""
    parts = [int(part) for part in (text or "0").split(".")]
    return parts + [0] * (3 - len(parts))


if __name__ == "__main__":
    sys.exit(main())
