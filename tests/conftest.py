from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images with annotations, which live beside the project and are never part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real data are not there: {SHARED_DATA}")
    return SHARED_DATA
