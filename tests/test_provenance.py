import hashlib
import json
import subprocess

import jax.numpy as jnp
import numpy as np
import pytest

import galore
from galore import provenance


def test_everything_is_plain_data_for_json(tmp_path):
    collected = provenance.collect({"out": tmp_path, "top": 5, "nested": {"a": (1, 2)}}, seed=3, files={"a.png": "ff"})
    assert json.loads(json.dumps(collected)) == collected
    assert collected["options"] == {"out": str(tmp_path), "top": 5, "nested": {"a": [1, 2]}}
    assert collected["seed"] == 3
    assert collected["galore"] == galore.__version__
    assert {"python", "jax", "flax", "numpy"} <= set(collected["versions"])
    assert collected["device"]


def test_a_file_has_the_hash_of_its_bytes(tmp_path):
    path = tmp_path / "photo"
    path.write_bytes(b"bytes")
    assert provenance.file_sha256(path) == hashlib.sha256(b"bytes").hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        {"a": jnp.zeros((2, 3)), "b": jnp.zeros(2)},
        {"a": jnp.ones((3, 2)), "b": jnp.zeros(2)},
        {"a": jnp.ones((2, 3), jnp.bfloat16), "b": jnp.zeros(2)},
        {"c": jnp.ones((2, 3)), "b": jnp.zeros(2)},
        {"a": jnp.ones((2, 3))},
    ],
)
def test_parameters_differ_in_hash_when_a_value_shape_type_or_name_differs(other):
    params = {"a": jnp.ones((2, 3)), "b": jnp.zeros(2)}
    assert provenance.params_sha256(params) != provenance.params_sha256(other)


def test_parameters_have_one_hash_wherever_they_live():
    params = {"a": jnp.ones((2, 3)), "b": jnp.zeros(2)}
    on_host = {"b": np.zeros(2, np.float32), "a": np.ones((2, 3), np.float32)}
    assert provenance.params_sha256(params) == provenance.params_sha256(on_host)


def test_the_commit_is_that_of_the_sources_and_none_elsewhere(tmp_path, monkeypatch):
    provenance.git.cache_clear()
    found = provenance.git()
    if found is not None:
        assert len(found["commit"]) == 40
        assert isinstance(found["dirty"], bool)
    provenance.git.cache_clear()
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    assert provenance.git() is None
    provenance.git.cache_clear()


def test_what_runs_write_into_results_is_no_change_of_the_code(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "src").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "table.csv").write_text("a,b\n")
    assert not provenance.differs(tmp_path / "src")
    (tmp_path / "code.py").write_text("pass\n")
    assert provenance.differs(tmp_path / "src")
