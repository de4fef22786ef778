import pytest

from galore.errors import InputError
from galore.training import hosts


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("count", "index", "message"),
    [(None, None, "hosts.count=None and hosts.index=None"), (2, 2, "hosts.index=2: expected")],
)
def test_processes_that_cannot_be_joined(count, index, message):
    with pytest.raises(InputError, match=message):
        hosts.join("localhost:1", count, index)
