"""Judges the coverage of the last test run: pure modules by their branches, everything by its lines.

The pure modules are those that the import-linter contract in ``pyproject.toml`` keeps free of I/O.
"""

import json
import sys
import tempfile
import tomllib
from pathlib import Path

from coverage import Coverage

ROOT = Path(__file__).parents[1]
BRANCHES_OF_PURE = 95.0
LINES = 90.0


def pure_files() -> set[str]:
    """Return the files of the pure modules, relative to the root."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contract = next(c for c in config["tool"]["importlinter"]["contracts"] if c["name"].startswith("pure"))
    return {f"{name.replace('.', '/')}.py" for name in contract["source_modules"]}


def main() -> int:
    coverage = Coverage()
    coverage.load()
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        coverage.json_report(outfile=file.name)
        report = json.loads(Path(file.name).read_text())
    files = {
        Path(name).resolve().relative_to(ROOT).as_posix(): data["summary"]
        for name, data in report["files"].items()
        if Path(name).resolve().is_relative_to(ROOT)  # tests also run altered copies of the code
    }
    pure = pure_files()
    if unseen := sorted(pure - set(files)):
        sys.stderr.write(f"no test ran these pure modules: {', '.join(unseen)}\n")
        return 1
    covered = sum(files[name]["covered_branches"] for name in pure)
    branches = sum(files[name]["num_branches"] for name in pure)
    lines = 100 * sum(f["covered_lines"] for f in files.values()) / sum(f["num_statements"] for f in files.values())
    share = 100 * covered / branches
    sys.stderr.write(
        f"coverage: {share:.1f} % of {branches} branches in {len(pure)} pure modules (at least {BRANCHES_OF_PURE}), "
        f"{lines:.1f} % of lines overall (at least {LINES})\n"
    )
    for name in sorted(pure, key=lambda name: files[name]["percent_covered"])[:8]:
        data = files[name]
        sys.stderr.write(f"  {name}: {data['covered_branches']} of {data['num_branches']} branches\n")
    return int(share < BRANCHES_OF_PURE or lines < LINES)


if __name__ == "__main__":
    sys.exit(main())
