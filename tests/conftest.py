import fcntl
import gc
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import jaxtyping
import pytest
import robust

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# Most of the time of the tests is the compilation of programs that run once or twice. So XLA compiles fast rather than
# well, as for JAX's own tests; with its older emitters, which take half the time; and in one piece, since the workers
# fill the cores. It reads this when it starts, also in the programs that tests start.
FAST_COMPILATION = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)
os.environ["XLA_FLAGS"] = " ".join([*FAST_COMPILATION, os.environ.get("XLA_FLAGS", "")])

# Nobody's cache folder is written. What took long to compile is kept for as long as this run lasts, for the other
# worker and for the programs that tests start, which mostly compile the same few networks.
if "PYTEST_XDIST_WORKER" not in os.environ:
    COMPILED = tempfile.TemporaryDirectory(prefix="galore-tests-", ignore_cleanup_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

# Compilation makes the first example slow, and a busy machine makes any of them slow.
hypothesis.settings.register_profile("galore", deadline=None)
hypothesis.settings.load_profile("galore")


# Modules, tests and their fixtures live as long as a worker: millions of objects among which Python would look for what
# nobody needs, a quarter of a second each time.
@pytest.hookimpl(wrapper=True)
def pytest_collection():
    gc.disable()
    found = yield
    gc.collect()
    gc.freeze()
    gc.enable()
    return found


def pytest_collection_modifyitems(items):
    """Slow tests come first in both halves, one for each worker: begun last, one would be waited for by the other."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    others = [item for item in items if not item.get_closest_marker("slow")]
    halves = len(slow) // 2, len(others) // 2
    items[:] = [*slow[: halves[0]], *others[: halves[1]], *slow[halves[0] :], *others[halves[1] :]]


def pytest_itemcollected(item):
    """The kind of odd input goes along with the outcome of a test, so that it can be counted."""
    kinds = [mark.args[0] for mark in item.iter_markers("robust")]
    item.user_properties += [("robust", kind) for kind in kinds]
    robust.COLLECTED[item.nodeid] = kinds[0] if kinds else ""


@pytest.fixture(autouse=True, scope="module")
def no_compiled_functions_are_kept():
    """What one test module compiled is of no use to the next, and would grow a worker to several GB."""
    import memory  # not before JAX can see the folder of compiled programs

    yield
    memory.release_if_large()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images with annotations, which live beside the project and are never part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real data are not there: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Chromium without a window, for all tests of a worker; without one they are skipped, with the reason."""
    import driver  # not before the types of the package are checked

    with driver.started() as started:
        yield started


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """(name, write) -> a folder that no test changes, written by the worker that needs it first, for both of them."""
    folder = tmp_path_factory.getbasetemp()
    of_run = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder

    def made(name: str, write: Callable[[Path], object]) -> Path:
        with open(of_run / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (of_run / name).exists():
                (of_run / f"{name}-unfinished").mkdir()
                write(of_run / f"{name}-unfinished")
                (of_run / f"{name}-unfinished").rename(of_run / name)
        return of_run / name

    return made


@pytest.fixture(scope="session")
def invented_pages(made_once) -> Path:
    """The pages of three invented studies, one of them with its figures, which take most of the time."""
    import invented_results  # not before the types of the package are checked

    drawn = ["cub-efficientnet_lite0"]
    return made_once("invented-pages", lambda folder: invented_results.pages_of(folder, drawn))


@pytest.fixture
def without_shape_types(monkeypatch):
    """What users meet: without the checks of shapes in signatures that only the tests switch on."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def compiled_well(monkeypatch):
    """What a test starts compiles as for users, which pays where it computes for long: in double precision, say."""
    monkeypatch.delenv("XLA_FLAGS")


@pytest.fixture
def store(tmp_path, monkeypatch) -> Iterator[Path]:
    """The folder of an empty cache of the user's; that of the tests is set aside."""
    from galore import cache  # not before the types of the package are checked

    monkeypatch.setenv("GALORE_CACHE", str(tmp_path / "cache"))
    with cache._configured(jax_compilation_cache_dir=None, jax_enable_compilation_cache=True):
        yield tmp_path / "cache" / "programs"
