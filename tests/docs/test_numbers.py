import importlib.util

from tests.conftest import REPOSITORY


def test_readme_shows_what_the_result_files_say():
    spec = importlib.util.spec_from_file_location("table", REPOSITORY / "loadtests" / "benchmarks" / "table.py")
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    text = (REPOSITORY / "README.md").read_text()
    assert text == table.with_table(text), "run: .venv/bin/python loadtests/benchmarks/table.py"
