import importlib
import subprocess
import sys

import pytest

from galore.moved import MOVED, resolve


@pytest.mark.parametrize("old", MOVED)
def test_an_old_module_warns_and_gives_the_new_objects(old, monkeypatch):
    new, names = MOVED[old]
    there = importlib.import_module(new)
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
        moved = importlib.import_module(old)
    for name in {name for name in vars(there) if not name.startswith("__")} - set(names):
        assert getattr(moved, name) is getattr(there, name)
    for before, after in names.items():
        assert getattr(moved, before) is resolve(new, after)


def test_the_warning_points_at_whoever_imports():
    program = "from galore.data import synthetic_birds\nassert synthetic_birds.Flock(2, 2, 0).classes == 2"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.returncode == 1 and "galore.data.synthetic_birds is now galore.data.synthetic.birds" in done.stderr
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
