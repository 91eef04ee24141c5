import shutil
import subprocess
import sys
import textwrap

import msgspec
import numpy as np
import onnx
import pytest

from slipway import digest
from slipway.models import bundle, judge
from slipway.models.errors import BundleAltered, ModelNotFound, TrainingRefused
from slipway.models.gates import Verdict
from slipway.models.mlflow_client import connect
from slipway.models.registry import Registry

TAGS = {"git_commit": "0123abc", "data_hash": "sha256:1", "lock_hash": "sha256:2"}


@pytest.fixture(scope="module")
def registry(mlflow_uri):
    return Registry(mlflow_uri)


@pytest.fixture(scope="module")
def registered(registry, trained):
    """The linear candidate as version 1, the boosted one as version 2 of the model "small"."""
    out, _ = trained
    return [registry.register(out / family, tags=TAGS) for family in ("logistic_regression", "gradient_boosting")]


def stored_at(folder):
    """Where the files of a registered bundle lie among its run's artifacts."""
    return f"{digest.short(bundle.load(folder).manifest.identity)}/bundle"


def test_versions_count_up_and_carry_lineage_when_bundles_are_registered(registry, registered, trained):
    _, report = trained

    newest, first = registry.versions("small")

    assert [one.version for one in registered] == [1, 2]
    assert (first.version, first.family, first.run_id) == (
        1,
        "logistic_regression",
        report.candidate("logistic_regression").run_id,
    )
    assert TAGS.items() <= first.tags.items()
    assert first.tags["feature_set"].startswith("sha256:")
    assert newest.metrics == report.candidate("gradient_boosting").evaluation.metrics
    assert "challenger" in newest.aliases
    assert "small" in registry.models()


def test_same_model_keeps_its_version_when_it_is_registered_again(registry, registered, trained):
    out, _ = trained

    again = registry.register(out / "logistic_regression", tags=TAGS)

    assert (again.version, again.existed) == (1, True)
    assert len(registry.versions("small")) == 2
    assert registry.challenger("small") == 1
    assert registry.find(bundle.load(out / "gradient_boosting").manifest) == 2
    assert registry.find(bundle.load(out / "xgboost").manifest) is None


def test_another_threshold_is_another_model_and_both_keep_their_files(registry, trained, renamed):
    out, _ = trained
    for number, threshold in enumerate((0.5, 0.4), start=1):
        folder = renamed(out / "xgboost", "thresholds", threshold=threshold)
        assert registry.register(folder, tags=TAGS).version == number

    assert [registry.load("thresholds", version).manifest.threshold for version in (1, 2)] == [0.5, 0.4]


def test_champion_moves_only_when_it_is_set(registry, registered):
    assert registry.champion("small") is None

    registry.set_champion("small", 1)

    assert registry.champion("small") == 1
    assert "champion" in registry.version("small", 1).aliases


def test_champion_is_none_when_there_is_no_such_model(registry):
    assert registry.champion("nobody") is None
    assert registry.versions("nobody") == []


def test_set_champion_refuses_when_the_version_does_not_exist(registry, registered):
    with pytest.raises(ModelNotFound, match=r"model 'small' has no version 9; it has \[2, 1\]"):
        registry.set_champion("small", 9)
    with pytest.raises(ModelNotFound, match="there is no model 'nobody'"):
        registry.set_champion("nobody", 1)


def test_downloaded_bundle_is_numbered_and_otherwise_the_registered_one(registry, registered, trained, tmp_path):
    out, _ = trained

    loaded = bundle.load(registry.download("small", 2, tmp_path / "bundle"))

    before = bundle.load(out / "gradient_boosting")
    assert loaded.manifest == msgspec.structs.replace(before.manifest, model_version=2)
    assert loaded.onnx == before.onnx == registry.load_onnx("small", 2)


def test_mlflow_itself_can_load_and_score_a_version(registry, registered, mlflow_uri, dataset):
    # In a process of its own: MLflow's fluent interface keeps the address for the whole process.
    code = """
        import sys, numpy, mlflow
        mlflow.set_tracking_uri(sys.argv[1])
        model = mlflow.pyfunc.load_model("models:/small/2")
        assert model.metadata.signature.inputs.input_names() == ["features"]
        print(model.predict({"features": numpy.zeros((2, int(sys.argv[2])), numpy.float32)})["score"].tolist())
    """
    command = [sys.executable, "-c", textwrap.dedent(code), mlflow_uri, str(dataset.matrix.shape[1])]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    first, second = msgspec.json.decode(done.stdout)
    assert first == second > 0


def test_load_refuses_when_the_file_in_the_artifact_store_was_altered(registry, trained, mlflow_uri, renamed, tmp_path):
    out, _ = trained
    folder = renamed(out / "random_forest", "altered")
    version = registry.register(folder, tags=TAGS).version
    run_id = bundle.load(folder).manifest.run_id
    (tmp_path / "model.onnx").write_bytes(bundle.load(folder).onnx + b"\0")
    connect(mlflow_uri).log_artifact(run_id, str(tmp_path / "model.onnx"), stored_at(folder))

    with pytest.raises(BundleAltered, match="altered after"):
        registry.load("altered", version)


def test_load_refuses_when_the_whole_bundle_was_exchanged(registry, trained, mlflow_uri, renamed):
    out, _ = trained
    folder = renamed(out / "xgboost", "exchanged")
    version = registry.register(folder, tags=TAGS).version
    run_id = bundle.load(folder).manifest.run_id
    other = renamed(out / "random_forest", "exchanged", run_id=run_id)
    connect(mlflow_uri).log_artifacts(run_id, str(other), stored_at(folder))

    with pytest.raises(BundleAltered, match="was registered"):
        registry.load("exchanged", version)


def test_registration_leaves_no_version_when_the_run_is_unknown(registry, trained, renamed):
    out, _ = trained
    folder = renamed(out / "xgboost", "orphan", run_id="f" * 32)

    with pytest.raises(ModelNotFound, match=r"does not know the run .* train again: slipway ship orphan"):
        registry.register(folder, tags=TAGS)

    assert registry.versions("orphan") == []


def test_registration_can_be_done_again_when_it_was_killed_before_the_version(registry, trained, mlflow_uri, renamed):
    # What a killed registration leaves: a model without versions, and some of the files in the run.
    out, _ = trained
    folder = renamed(out / "xgboost", "resumed")
    run_id = bundle.load(folder).manifest.run_id
    client = connect(mlflow_uri)
    client.create_registered_model("resumed")
    client.log_artifact(run_id, str(folder / "manifest.json"), stored_at(folder))
    assert "resumed" not in registry.models()

    assert registry.register(folder, tags=TAGS).version == 1
    assert registry.load("resumed", 1).manifest.model_version == 1


def test_load_says_so_when_the_files_are_gone_from_the_artifact_store(registry, trained, project, renamed):
    out, _ = trained
    folder = renamed(out / "xgboost", "emptied")
    version = registry.register(folder, tags=TAGS).version
    (stored,) = (project.home / "mlflow" / "artifacts").rglob(stored_at(folder))
    shutil.rmtree(stored)

    with pytest.raises(ModelNotFound, match=r"emptied 1 are not in MLflow's artifacts any more.*register it again"):
        registry.load("emptied", version)


def test_judge_passes_a_good_candidate_and_shows_the_champion_beside_it(
    registry, registered, trained, training_set, config
):
    out, _ = trained
    champion = registry.load("small", 1)
    easy = config.model_copy(update={"gates": config.gates.model_copy(update={"accuracy": 0.6, "f1_weighted": 0.6})})

    seen = judge.judge(training_set, out, "logistic_regression", easy, champion=champion)

    assert seen.verdict is Verdict.PASS
    assert (seen.difference.difference, seen.difference.low) == (0, 0)
    assert seen.champion.metrics == seen.candidate.metrics
    assert [s.value for s in seen.champion.slices] == ["False", "True"]
    assert seen.refused == ""


def test_judge_fails_a_candidate_when_the_champion_is_far_better(registered, registry, trained, training_set, config):
    # The candidate's place is taken by a model that scores everyone alike but for noise.
    out, _ = trained
    worse = out.parent / "worse"
    shutil.copytree(out, worse)
    noise = bundle.load(out / "gradient_boosting")
    model = _with_shuffled_columns(noise.onnx)
    manifest = msgspec.structs.replace(noise.manifest, onnx_digest=digest.of_bytes(model))
    bundle.write(worse / "gradient_boosting", manifest=manifest, onnx=model)

    seen = judge.judge(training_set, worse, "gradient_boosting", config, champion=registry.load("small", 2))

    assert seen.verdict is Verdict.FAIL
    assert "more than 0.01 worse is shown" in seen.refused


def test_judge_cant_tell_when_the_champion_reads_a_feature_that_is_gone(
    registered, registry, trained, write_table, config
):
    out, _ = trained
    path = write_table(rows=1500, change={"charges": np.zeros(1500)}, drop=("months",))

    seen = judge.judge(path, out, "xgboost", config, champion=registry.load("small", 1))

    (gate,) = [result for result in seen.results if result.name == "champion"]
    assert gate.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    assert "months" in gate.words


def test_judge_names_the_families_when_one_is_unknown(trained, training_set, config):
    out, _ = trained

    with pytest.raises(TrainingRefused, match="no candidate of family 'svm'; there are"):
        judge.judge(training_set, out, "svm", config)


def _with_shuffled_columns(model):
    """The same trees, each branching on another column than the one it was grown on."""
    altered = onnx.load_from_string(model)
    for node in altered.graph.node:
        for attribute in node.attribute:
            if attribute.name == "nodes_featureids":
                attribute.ints[:] = [(column + 1) % 3 for column in attribute.ints]
    return altered.SerializeToString()


def test_judge_leaves_the_champion_out_when_there_is_none(trained, training_set, config):
    out, report = trained

    seen = judge.judge(training_set, out, "xgboost", config)

    assert "champion" not in {result.name for result in seen.results}
    assert seen.candidate == report.candidate("xgboost").evaluation
    assert (seen.champion, seen.difference) == (None, None)


def test_judge_says_what_to_do_when_the_training_left_nothing(training_set, config, tmp_path):
    with pytest.raises(TrainingRefused, match=r"candidates\.json can't be read.*--force --from train"):
        judge.judge(training_set, tmp_path, "xgboost", config)
