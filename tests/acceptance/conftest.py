from pathlib import Path

import pytest

from tests.acceptance.shipping import fresh_checkout


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A checkout whose Python processes are watched for connections beyond the loopback."""
    seen = tmp_path_factory.mktemp("netwatch") / "seen.txt"
    with fresh_checkout(PYTHONPATH=str(Path(__file__).parent / "netwatch"), SLIPWAY_NETWATCH=str(seen)) as checkout:
        yield checkout
