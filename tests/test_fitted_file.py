"""Files of part tables and of counterparts: they belong to one network, and whatever else they hold is one sentence."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from galore import InputError, Network, counterparts, part_tables

MODULES = {"part tables": part_tables, "counterparts": counterparts}
F = np.random.default_rng(0).uniform(size=(12, 5, 5, 8)).astype(np.float32)
BOTH = pytest.mark.parametrize("kind", MODULES)


@functools.cache
def fitted(kind):
    return MODULES[kind].fit(F, np.arange(12) % 4, jax.random.key(0))


def network(layer: str = "last", scale: float = 1.0) -> Network:
    head = lambda params, F: F.mean((0, 1)) @ params  # noqa: E731
    return Network(params=jnp.full((8, 4), scale), features=None, head=head, layer=layer, name="mine")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fitted.npz"


@BOTH
def test_a_file_gives_the_same_back(kind, path):
    MODULES[kind].save(path, fitted(kind), network())
    chex.assert_trees_all_equal(MODULES[kind].load(path, network()), fitted(kind))
    assert [one.name for one in path.parent.iterdir()] == ["fitted.npz"]


@BOTH
@pytest.mark.robust("tables")
@pytest.mark.parametrize("other", [network("first"), network(scale=2.0)])
def test_a_file_of_another_network_is_refused(kind, path, other):
    MODULES[kind].save(path, fitted(kind), network())
    said = rf"the {kind} .*are of another network \(mine cut at last\), expected those that galore {kind[:4]}"
    with pytest.raises(InputError, match=said):
        MODULES[kind].load(path, other)


@pytest.mark.robust("tables")
def test_a_file_of_the_other_kind_is_refused(path):
    part_tables.save(path, fitted("part tables"), network())
    with pytest.raises(InputError, match=r"expected counterparts, as galore counterparts makes them"):
        counterparts.load(path, network())


@pytest.mark.robust("tables")
@pytest.mark.parametrize(
    ("kind", "name", "change"),
    [
        *(
            (kind, name, change)
            for kind in MODULES
            for name, change in [
                ("format", lambda values: np.array(f"{values}1")),
                ("format", None),
                ("params_sha256", None),
                ("mean", lambda values: values[:-1]),
                ("mean", lambda values: values.astype(np.float64)),
                ("mean", lambda values: values * np.nan),
                ("projection", lambda values: values[..., None]),
                ("projection", lambda values: values[:, :0]),
                ("classes", lambda values: values[::-1]),
                ("classes", lambda values: values[:1]),
                ("classes", lambda values: values - 1),
                ("classes", lambda values: values.astype(np.float32)),
            ]
        ),
        ("part tables", "3 centres", lambda values: values[:, 1:]),
        ("part tables", "3 centres", None),
        ("part tables", "3 scale", lambda values: -values),
        ("part tables", "3 table", lambda values: values[:, :3]),
        ("part tables", "3 table", lambda values: values.astype(object)),
        ("counterparts", "weights", lambda values: values[1:]),
        ("counterparts", "weights", lambda values: values[:, 1:]),
        ("counterparts", "weights", lambda values: values[..., 1:]),
        ("counterparts", "weights", lambda values: values.astype(object)),
        ("counterparts", "weights", None),
    ],
)
def test_a_damaged_file_is_one_sentence(path, kind, name, change):
    MODULES[kind].save(path, fitted(kind), network())
    with np.load(path) as file:
        arrays = dict(file)
    values = arrays.pop(name)
    np.savez(path, **arrays, **({name: change(values)} if change else {}))
    with pytest.raises(InputError, match=rf"fitted\.npz is damaged, expected {kind}") as caught:
        MODULES[kind].load(path, network())
    assert "\n" not in str(caught.value)


@BOTH
@pytest.mark.robust("tables")
@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", b"no tables\n" * 1000])
def test_what_is_no_archive_is_one_sentence(kind, path, content):
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"expected {kind}, as galore {kind[:4]}.* makes them"):
        MODULES[kind].load(path, network())
