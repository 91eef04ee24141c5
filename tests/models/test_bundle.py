import subprocess
import sys

import msgspec
import pytest

from slipway import digest
from slipway.models import bundle
from slipway.models.bundle import GoldenRow, Manifest, ReferenceScores
from slipway.models.errors import BundleAltered

ONNX = b"not a model, but bytes with a digest"


def manifest(**changes):
    values = {
        "model": "churn",
        "model_version": 2,
        "run_id": "0" * 32,
        "family": "xgboost",
        "feature_set": {"name": "churn"},
        "threshold": 0.5,
        "positive": "Yes",
        "negative": "No",
        "onnx_digest": digest.of_bytes(ONNX),
        "metrics": {"roc_auc": 0.845},
        "golden": (GoldenRow(features={"tenure": 3, "charges": 2.5, "senior": True, "contract": None}, score=0.25),),
        "reference_scores": ReferenceScores(quantiles=(0.0, 0.5, 1.0)),
    }
    return Manifest(**(values | changes))


def test_bundle_comes_back_equal_when_written_and_loaded(tmp_path):
    written = manifest()

    bundle.write(tmp_path / "bundle", manifest=written, onnx=ONNX)
    loaded = bundle.load(tmp_path / "bundle")

    assert loaded.manifest == written
    assert loaded.onnx == ONNX
    assert type(loaded.manifest.golden[0].features["tenure"]) is int
    assert type(loaded.manifest.golden[0].features["charges"]) is float
    assert loaded.manifest.golden[0].features["senior"] is True


def test_load_refuses_when_one_byte_of_the_model_was_altered(tmp_path):
    bundle.write(tmp_path, manifest=manifest(), onnx=ONNX)
    (tmp_path / bundle.MODEL_FILE).write_bytes(ONNX[:-1] + b"!")

    with pytest.raises(BundleAltered, match=r"altered after churn 2 was registered"):
        bundle.load(tmp_path)


def test_write_refuses_when_the_manifest_is_for_another_model(tmp_path):
    with pytest.raises(BundleAltered, match="digest"):
        bundle.write(tmp_path / "bundle", manifest=manifest(), onnx=b"another")

    assert not (tmp_path / "bundle").exists()


def test_load_names_the_missing_file_when_there_is_none(tmp_path):
    bundle.write(tmp_path, manifest=manifest(), onnx=ONNX)
    (tmp_path / bundle.MODEL_FILE).unlink()

    with pytest.raises(BundleAltered, match=r"model\.onnx"):
        bundle.load(tmp_path)


def test_load_names_the_field_when_the_manifest_has_another_shape(tmp_path):
    bundle.write(tmp_path, manifest=manifest(), onnx=ONNX)
    data = msgspec.json.decode((tmp_path / bundle.MANIFEST_FILE).read_bytes())
    data["golden"][0]["score"] = "high"
    (tmp_path / bundle.MANIFEST_FILE).write_bytes(msgspec.json.encode(data))

    with pytest.raises(BundleAltered, match=r"\$\.golden\[0\]\.score"):
        bundle.load(tmp_path)


def test_label_is_positive_when_the_score_reaches_the_threshold():
    assert manifest(threshold=0.5).label(0.5) == "Yes"
    assert manifest(threshold=0.5).label(0.49) == "No"


def test_bundle_imports_no_training_library_when_serving_reads_it():
    code = (
        "import sys, slipway.models.bundle, slipway.models.runtime\n"
        "heavy = {'pandas', 'sklearn', 'xgboost', 'mlflow', 'onnx', 'pyarrow', 'scipy', 'matplotlib'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or None)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
