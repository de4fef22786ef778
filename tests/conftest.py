import ctypes
import gc
import sys
from pathlib import Path

import hypothesis
import jax
import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# Compilation makes the first example slow, and a busy machine makes any of them slow.
hypothesis.settings.register_profile("galore", deadline=None)
hypothesis.settings.load_profile("galore")


@pytest.fixture(autouse=True, scope="module")
def no_compiled_functions_are_kept():
    """What one test module compiled is of no use to the next, and would grow a worker to several GB."""
    yield
    jax.clear_caches()
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what was freed goes back to the system


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images with annotations, which live beside the project and are never part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real data are not there: {SHARED_DATA}")
    return SHARED_DATA
