from pathlib import Path

import pytest

from slipway.bentos.config import ServiceConfig
from slipway.bentos.errors import ServiceUnreadable
from slipway.bentos.policy import Missing, Policy
from slipway.project import Project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "bentos" / "churn").mkdir(parents=True)
    (tmp_path / "bentos" / "churn" / "service.py").write_text("")
    return Project(root=tmp_path, home=tmp_path / ".slipway", name="test")


def write(project: Project, text: str) -> None:
    (project.bentos_dir / "churn" / "bento.toml").write_text(text)


def test_the_checkouts_own_service_is_read_when_loaded() -> None:
    config = ServiceConfig.load(Project(root=ROOT, home=ROOT / ".slipway", name="slipway"), "churn")
    assert (config.service.name, config.service.model, config.policy.missing) == ("churn", "churn", Missing.FAIL)
    assert {"load", "slo", "rollout"} <= set(config.tables)


def test_defaults_hold_when_there_is_no_contract_table(project: Project) -> None:
    write(project, '[service]\nname = "churn"\nmodel = "m"\n')
    assert ServiceConfig.load(project, "churn").policy == Policy()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[service]\nname = "churn"\n', r"\[service\]: .*`model`"),
        ('[service]\nname = "Churn!"\nmodel = "m"\n', r"\[service\]: .*`\$.name`"),
        ('[service]\nname = "other"\nmodel = "m"\n', "give both one name"),
        (
            '[service]\nname = "churn"\nmodel = "m"\n[contract]\nmax_row = 3\n',
            r"\[contract\]: .*`max_row`; allowed keys",
        ),
        ('[service]\nname = "churn"\nmodel = "m"\n[contract]\nmissing = "guess"\n', r"'guess' - at `\$.missing`"),
        ('[service]\nname = "churn"\nmodel = "m"\n[contract]\nmax_rows = 0\n', r"`\$.max_rows`"),
    ],
)
def test_bento_toml_is_refused_with_the_key_when_it_is_wrong(project: Project, text: str, words: str) -> None:
    write(project, text)
    with pytest.raises(ServiceUnreadable, match=words):
        ServiceConfig.load(project, "churn")


def test_known_services_are_listed_when_the_name_is_unknown(project: Project) -> None:
    with pytest.raises(ServiceUnreadable, match="services here: churn"):
        ServiceConfig.load(project, "chrun")
