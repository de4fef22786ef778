"""One browser for the tests of a file."""

import driver
import pytest


@pytest.fixture(scope="module")
def browser():
    with driver.started() as started:
        yield started
