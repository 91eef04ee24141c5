import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from slipway.errors import GateRefused, NotEnoughEvidence
from slipway.loadtests.cli import app
from slipway.project import Project

SLO = "[slo]\np99_ms = 250\nerror_rate = 0.001\nmin_rps = 10\n"


@pytest.fixture
def run(
    own_project: Project, ids: Path, service: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], Result]:
    """Return a function that runs the command on a service with a behaviour, under a load."""
    (own_project.root / "pyproject.toml").write_text("[tool.slipway]\n")
    (own_project.bentos_dir / "churn").mkdir(parents=True)
    monkeypatch.setenv("SLIPWAY_PROJECT", str(own_project.root))
    monkeypatch.setenv("SLIPWAY_HOME", str(own_project.home))

    def run(behaviour: str, load: str) -> Result:
        (own_project.bentos_dir / "churn" / "bento.toml").write_text(f"{SLO}[load]\n{load}")
        return CliRunner().invoke(app, ["run", "churn", "--against", service(behaviour), "--ids", str(ids), "--json"])

    return run


@pytest.mark.parametrize(
    ("behaviour", "load", "error", "words"),
    [
        ("errors", "users = 10\nrps = 150\nduration_s = 2\n", GateRefused, "errors .* at most 0.100 %"),
        ("good", "users = 5\nrps = 20\nduration_s = 2\n", NotEnoughEvidence, "show too little"),
    ],
)
def test_the_command_ends_with_the_gates_words_when_it_was_not_passed(
    run: Callable[[str, str], Result], behaviour: str, load: str, error: type[Exception], words: str
) -> None:
    result = run(behaviour, load)
    assert json.loads(result.stdout)["requests"] > 0
    assert isinstance(result.exception, error)
    with pytest.raises(error, match=words):
        raise result.exception
