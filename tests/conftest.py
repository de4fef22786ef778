from pathlib import Path

import hypothesis
import jaxtyping
import memory
import pytest
import robust

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# Compilation makes the first example slow, and a busy machine makes any of them slow.
hypothesis.settings.register_profile("galore", deadline=None)
hypothesis.settings.load_profile("galore")


def pytest_itemcollected(item):
    """The kind of odd input goes along with the outcome of a test, so that it can be counted."""
    kinds = [mark.args[0] for mark in item.iter_markers("robust")]
    item.user_properties += [("robust", kind) for kind in kinds]
    robust.COLLECTED[item.nodeid] = kinds[0] if kinds else ""


@pytest.fixture(autouse=True, scope="module")
def no_compiled_functions_are_kept():
    """What one test module compiled is of no use to the next, and would grow a worker to several GB."""
    yield
    memory.release_if_large()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images with annotations, which live beside the project and are never part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real data are not there: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture
def without_shape_types(monkeypatch):
    """What users meet: without the checks of shapes in signatures that only the tests switch on."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
