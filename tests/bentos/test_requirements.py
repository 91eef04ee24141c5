from pathlib import Path

import pytest

from slipway.bentos.errors import ServiceUnreadable
from slipway.bentos.requirements import PACKAGE, serving_requirements

LOCK = Path(__file__).parents[2] / "requirements.lock"


def names(text: str) -> set[str]:
    return {match["name"] for line in text.splitlines() if (match := PACKAGE.match(line))}


def test_the_image_has_what_serves_and_nothing_that_trains_when_the_real_lock_is_read() -> None:
    found = names(serving_requirements(LOCK.read_text()))
    assert {"bentoml", "onnxruntime", "msgspec", "uvloop", "httptools", "redis", "hiredis", "pydantic"} <= found
    assert {"starlette", "h11", "click"} <= found  # needed by what was asked for
    assert not {"pandas", "mlflow", "xgboost", "scikit-learn", "locust", "gevent", "pytest", "duckdb"} & found


def test_each_package_keeps_its_hashes_when_the_lock_is_cut() -> None:
    text = serving_requirements(LOCK.read_text())
    blocks = [block for block in text.split("\n") if PACKAGE.match(block)]
    assert all(block.endswith("\\") for block in blocks)
    assert text.count("--hash=sha256:") >= len(blocks)


def test_circles_of_needs_end_when_followed() -> None:
    lock = "a==1\n    # via\n    #   b\n    #   slipway (pyproject.toml:serve)\nb==2\n    # via a\n"
    assert names(serving_requirements(lock)) == {"a", "b"}


@pytest.mark.parametrize("lock", ["", "a==1\n", "a==1\n    # via slipway (pyproject.toml:train)\n"])
def test_a_lock_is_refused_when_serving_asks_for_nothing_in_it(lock: str) -> None:
    with pytest.raises(ServiceUnreadable, match="names nothing"):
        serving_requirements(lock)
