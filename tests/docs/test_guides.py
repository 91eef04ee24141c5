"""Every command in a guide exists, with the options that the guide gives it; every link points at something."""

import re
import shlex
import subprocess

import pytest
import typer

from slipway.cli import app
from slipway.rollouts import simulations
from tests.docs.guides import GUIDES, ROOT, commands

LINK = re.compile(r"\]\((?!https?://)([^)#]+)")
EVERY = [pytest.param(command, id=f"{guide.name}: {command}") for guide in GUIDES for command in commands(guide)]


@pytest.mark.parametrize("command", EVERY)
def test_command_of_a_guide_exists_with_its_options(command):
    words = shlex.split(command)
    if words[0] == "make":
        subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, check=True, capture_output=True)
        return
    assert words[0] in {"slipway", ".venv/bin/slipway"}, f"a guide may call make and slipway only: {command}"
    parse(words[1:])


def parse(words: list[str]) -> None:
    """Go down the real command line to the last word without running anything; an unknown option raises."""
    root = typer.main.get_command(app)
    context, rest = root.make_context("slipway", words), words
    command = root
    while rest and hasattr(command, "get_command"):
        command, rest = command.get_command(context, rest[0]), rest[1:]
        assert command is not None, f"no such command: {words}"
        context = command.make_context(words[0], list(rest), parent=context)
        command = context.command


def test_guides_have_commands():
    assert len(EVERY) >= 10


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_links_of_a_guide_point_at_files(guide):
    for target in LINK.findall(guide.read_text(encoding="utf-8")):
        assert (guide.parent / target).exists(), f"{guide.name} links to {target}, which does not exist"


def test_simulation_of_the_guide_is_one_that_runs(tmp_path):
    text = (ROOT / "docs" / "rollouts.md").read_text(encoding="utf-8")
    file = tmp_path / "guide.toml"
    file.write_text(re.search(r"```toml\n(.*?)```", text, re.DOTALL).group(1))

    plan, truth = simulations.load(file)

    assert simulations.run(plan, truth, replications=2, seed=1, workers=1)["replications"] == 2
