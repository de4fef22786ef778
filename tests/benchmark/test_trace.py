import jax
import pytest
from heads import images, plain_network

from galore import explain, regions
from galore.benchmark import trace
from galore.benchmark.trace import Operation


def work(net, x):
    maps = explain.discriminant(net, x, 0, 1, attribution="integrated_gradients").maps
    return regions.largest_fraction(maps, 0.1, (16, 16))


@pytest.fixture(scope="module")
def program():
    return jax.jit(work).lower(plain_network(), images()).compile()


def test_every_phase_has_a_scope(program):
    paths = trace.sources(program.as_text()).values()
    assert {trace._phase_of(path) for path in paths} >= {"features", "attribution", "region"}
    logits = jax.jit(lambda net, x: jax.vmap(net)(x)[1]).lower(plain_network(), images()).compile()
    assert {trace._phase_of(path) for path in trace.sources(logits.as_text()).values()} >= {"features", "head"}


def test_a_profile_is_written_and_told(program, tmp_path):
    call = lambda: jax.block_until_ready(program(plain_network(), images()))  # noqa: E731
    call()
    found = trace.profile(call, program, tmp_path)
    assert list(tmp_path.rglob("*.xplane.pb")) and list(tmp_path.rglob("perfetto_trace.json.gz"))
    assert found and {operation.name for operation in found} & trace.sources(program.as_text()).keys()
    assert (tmp_path / trace.SUMMARY).read_text() == trace.summary(found)


def test_what_runs_inside_another_operation_counts_once():
    loop = [("while", 0.0, 10.0), ("dot", 1.0, 4.0), ("add", 4.0, 5.0), ("dot", 6.0, 8.0), ("copy", 10.0, 11.0)]
    known = {"dot": "jit(f)/attribution/transpose(jvp(head))/dot_general", "while": "jit(f)/vmap(features)/while"}
    found = trace.operations([loop, [("dot", 0.0, 1.0)]], known)
    assert found == [
        Operation("dot", "attribution", "dot_general", 6.0),
        Operation("while", "features", "while", 4.0),
        Operation("add", "other", "", 1.0),
        Operation("copy", "other", "", 1.0),
    ]
    told = trace.summary(found, count=2).splitlines()
    assert told[0] == "12000.00 ms in 4 operations: attribution 50 %, features 33 %, other 17 %"
    assert len(told) == 3 and told[1].split() == ["6000.000", "ms", "50", "%", "attribution", "dot", "dot_general"]


def test_a_profile_of_nothing_says_so():
    assert trace.summary([]) == "The profile has no operations.\n"
    assert trace.operations([], {}) == []
