"""The measured table of the README, made from the result files alone.

.venv/bin/python loadtests/benchmarks/table.py
"""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "loadtests" / "results"
README = ROOT / "README.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->"


def result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def table() -> str:
    """Return the lines between the README's two marks."""
    first, plan, predict = result("first_ship"), result("default_plan"), result("predict")
    rows = [
        ("set-up from a clone, packages in the installer's cache", f"{first['set_up_s']:.0f} s, {first['set_up_disk_mb'] / 1000:.1f} GB", "first_ship"),
        (f"first `make ship`, {first['rows']}, rollout included", f"{first['ship_s']:.0f} s, peak memory {first['peak_memory_mb'] / 1000:.1f} GB", "first_ship"),
        ("`make ship` again, nothing changed", f"{first['ship_unchanged_s']:.1f} s", "first_ship"),
        ("healthy candidate promoted by the default plan", f"{plan['promoted']} of {plan['runs']} runs, median {plan['median_seconds']:.0f} s", "default_plan"),
        ("failed requests that users saw in those runs", f"{plan['failed_seen_by_users']} of {plan['requests']:,}", "default_plan"),
        ("predict by id through the Bento, one worker, 16 connections", f"{predict['requests_per_s']:,.0f}/s, {predict['cpu_us_per_request']:.0f} µs of CPU, p99 {predict['p99_ms']:.1f} ms", "predict"),
    ]  # fmt: skip
    lines = ["| what | measured | result file |", "|---|---|---|"]
    lines += [f"| {what} | {seen} | [{name}](loadtests/results/{name}.json) |" for what, seen, name in rows]
    dates = ", ".join(sorted({str(one["date"]) for one in (first, plan, predict)}))
    lines += ["", f"Measured on {dates}, {first['machine']}; each file holds its command and every run."]
    return "\n".join(lines) + "\n"


def with_table(text: str) -> str:
    """Return the README's text with the table in its place."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
