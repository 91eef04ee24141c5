import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import slipway
from slipway import digest
from slipway.bentos.build import SERVING_MODULES, build
from slipway.bentos.errors import BuildFailed, ServiceUnreadable
from slipway.bentos.release import Release
from slipway.bentos.sabotage import Sabotage
from slipway.models.errors import BundleAltered
from slipway.project import Project

Built = tuple[Project, Release]


def test_a_bento_holds_service_model_and_serving_code_when_built(built: Built) -> None:
    project, release = built
    bento = project.home / release.bento
    source = bento / "src"
    files = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    assert files == {
        "bentofile.yaml",
        "requirements.txt",
        "service.py",
        "bundle/model.onnx",
        "bundle/manifest.json",
        "bundle/serving.json",
        *(f"slipway/{module}" for module in SERVING_MODULES),
    }
    assert (release.model, release.model_version, release.run_id, release.sabotage) == ("accounts", 7, "run", "")
    assert release.bento.endswith(digest.short(release.digest))
    pinned = (bento / "env" / "python" / "requirements.txt").read_text()
    assert "\nonnxruntime==" in pinned
    assert "\npandas==" not in pinned


def test_the_digest_is_the_same_when_the_same_is_built_elsewhere(built: Built, own_project: Project) -> None:
    again = build("accounts", own_project.root / "bundle", project=own_project)
    assert again == built[1]


def test_nothing_is_built_when_the_same_was_built_before(built: Built) -> None:
    project, release = built
    file = project.home / release.bento / "bento.yaml"
    before = file.stat().st_mtime_ns
    assert build("accounts", project.root / "bundle", project=project) == release
    assert file.stat().st_mtime_ns == before


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def change_manifest(project: Project) -> None:
    edit(project.root / "bundle" / "manifest.json", '"model_version": 7', '"model_version": 8')


def change_service(project: Project) -> None:
    edit(project.bentos_dir / "accounts" / "service.py", "The accounts service", "The service of accounts")


def change_contract(project: Project) -> None:
    with (project.bentos_dir / "accounts" / "bento.toml").open("a") as file:
        file.write("[contract]\nmax_rows = 3\n")


def change_lock(project: Project) -> None:
    edit(project.root / "requirements.lock", "msgspec==", "msgspec===")


def change_plan(project: Project) -> None:
    with (project.bentos_dir / "accounts" / "bento.toml").open("a") as file:
        file.write("[rollout]\nshadow_s = 3\n[slo]\np99_ms = 3\n")


@pytest.fixture
def no_bentoml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests are what is looked at, and made before BentoML runs: leave the slow part out."""
    monkeypatch.setattr("slipway.bentos.build._run_bentoml", lambda staged, *_, **__: staged)
    monkeypatch.setattr("slipway.bentos.build._put", lambda *_: None)


@pytest.mark.usefixtures("no_bentoml")
@pytest.mark.parametrize("change", [change_manifest, change_service, change_contract, change_lock])
def test_the_digest_is_another_when_what_is_served_changed(
    built: Built, own_project: Project, change: Callable[[Project], None]
) -> None:
    change(own_project)
    assert build("accounts", own_project.root / "bundle", project=own_project).digest != built[1].digest


@pytest.mark.usefixtures("no_bentoml")
def test_the_digest_is_the_same_when_only_rollout_and_objectives_changed(built: Built, own_project: Project) -> None:
    change_plan(own_project)
    assert build("accounts", own_project.root / "bundle", project=own_project).digest == built[1].digest


@pytest.mark.usefixtures("no_bentoml")
def test_each_sabotage_is_a_release_of_its_own_when_built(built: Built, own_project: Project) -> None:
    releases = [build("accounts", own_project.root / "bundle", project=own_project, sabotage=kind) for kind in Sabotage]
    assert [release.sabotage for release in releases] == ["errors", "latency", "crash", "quality"]
    assert len({release.digest for release in releases} | {built[1].digest}) == 5


def test_the_digest_is_another_when_the_serving_code_changed(built: Built, tmp_path: Path) -> None:
    """A process with a changed copy of Slipway builds: changed in a module that serves, then in one that does not."""
    project, release = built
    code = tmp_path / "code" / "slipway"
    shutil.copytree(Path(slipway.__file__).parent, code)
    script = (
        "import sys, pathlib; from slipway.project import Project; from slipway.bentos import build as b\n"
        "b._run_bentoml = lambda staged, *_, **__: staged; b._put = lambda *_: None\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "p = Project(root=root, home=root / 'elsewhere', name='test')\n"
        "print(b.build('accounts', root / 'bundle', project=p).digest)\n"
    )

    def digest_now() -> str:
        command = [sys.executable, "-c", script, str(project.root)]
        # The current folder comes first where modules are looked for, before the installed Slipway.
        done = subprocess.run(command, cwd=code.parent, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    (code / "bentos" / "cli.py").write_text("# nothing\n")
    assert digest_now() == release.digest
    with (code / "bentos" / "turns.py").open("a") as file:
        file.write("# a change\n")
    assert digest_now() != release.digest


def test_no_half_built_bento_is_left_when_bentoml_fails(own_project: Project) -> None:
    (own_project.bentos_dir / "accounts" / "service.py").write_text("raise RuntimeError('broken service')\n")
    with pytest.raises(BuildFailed, match=r"(?s)'bentoml build' of accounts ended with 1.*broken service"):
        build("accounts", own_project.root / "bundle", project=own_project)
    assert not list(own_project.home.rglob("bento.yaml"))


def test_another_model_is_refused_when_the_service_serves_this_one(own_project: Project) -> None:
    edit(own_project.root / "bundle" / "manifest.json", '"model": "accounts"', '"model": "other"')
    with pytest.raises(ServiceUnreadable, match=r"serves model 'accounts', the bundle .* holds 'other'"):
        build("accounts", own_project.root / "bundle", project=own_project)


def test_a_bundle_is_refused_when_it_has_no_golden_rows(own_project: Project) -> None:
    path = own_project.root / "bundle" / "manifest.json"
    manifest: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(manifest | {"golden": []}))
    with pytest.raises(ServiceUnreadable, match="no golden rows"):
        build("accounts", own_project.root / "bundle", project=own_project)


def test_a_bundle_is_refused_when_its_model_was_altered(own_project: Project) -> None:
    with (own_project.root / "bundle" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleAltered, match="altered"):
        build("accounts", own_project.root / "bundle", project=own_project)


def test_a_policy_is_refused_when_the_features_can_not_keep_it(own_project: Project) -> None:
    with (own_project.bentos_dir / "accounts" / "bento.toml").open("a") as file:
        file.write('[contract]\nmissing = "default"\n')
    with pytest.raises(ServiceUnreadable, match="plan, home city, senior, tenure, charges have no default"):
        build("accounts", own_project.root / "bundle", project=own_project)


def test_a_lock_is_asked_for_when_there_is_none(own_project: Project) -> None:
    (own_project.root / "requirements.lock").unlink()
    with pytest.raises(ServiceUnreadable, match=r"requirements\.lock does not exist"):
        build("accounts", own_project.root / "bundle", project=own_project)
