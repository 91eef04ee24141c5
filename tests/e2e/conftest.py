import pytest

from tests.acceptance.shipping import fresh_checkout


@pytest.fixture(scope="module")
def checkout():
    with fresh_checkout() as checkout:
        yield checkout
