from slipway import digest


def test_tree_digest_changes_when_a_file_changes_or_moves(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    first = digest.of_tree(tmp_path)
    (tmp_path / "a.txt").write_text("two")
    changed = digest.of_tree(tmp_path)
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    assert len({first, changed, digest.of_tree(tmp_path)}) == 3


def test_tree_digest_is_unmoved_when_a_left_out_folder_changes(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    before = digest.of_tree(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"x")
    assert digest.of_tree(tmp_path) == before


def test_file_digest_is_that_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert digest.of_file(tmp_path / "a") == digest.of_bytes(b"abc")
