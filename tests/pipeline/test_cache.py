import pytest

from slipway.pipeline.cache import Cache

KEY = "sha256:0123456789abcdef"


def test_outputs_are_found_when_the_step_finished(tmp_path):
    cache = Cache(root=tmp_path)
    with cache.filling("train", KEY) as folder:
        (folder / "x").write_text("1")
        assert cache.find("train", KEY) is None
    assert (cache.find("train", KEY) / "x").read_text() == "1"


def test_nothing_is_left_when_the_step_failed(tmp_path):
    cache = Cache(root=tmp_path)
    with pytest.raises(RuntimeError), cache.filling("train", KEY):
        raise RuntimeError
    assert list((tmp_path / "train").iterdir()) == []


def test_outputs_are_replaced_when_the_step_is_forced(tmp_path):
    cache = Cache(root=tmp_path)
    for text in ("old", "new"):
        with cache.filling("train", KEY) as folder:
            (folder / text).write_text(text)
    assert [file.name for file in cache.find("train", KEY).iterdir()] == ["new"]


def test_partial_folders_are_swept_when_a_run_was_killed(tmp_path):
    cache = Cache(root=tmp_path)
    (tmp_path / "train" / ".partial-0123-77").mkdir(parents=True)
    with cache.filling("gate", KEY):
        pass
    assert cache.sweep() == 1
    assert cache.find("gate", KEY) is not None
    assert cache.sweep() == 0
