import dataclasses
import json
import re
from pathlib import Path

import answers
import numpy as np
import pytest

from galore.report import record

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "explanation_schema.md"


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    return answers.answer(tmp_path_factory.mktemp("photos"))


def test_the_maps_come_back_raw_and_under_the_names_that_the_json_uses(tmp_path, answer):
    record.save(answer, tmp_path)
    written = json.loads((tmp_path / "explanation.json").read_text(encoding="utf-8"))
    with np.load(tmp_path / "maps.npz", allow_pickle=False) as maps:
        assert set(maps) == set(written["maps"])
        np.testing.assert_array_equal(maps[written["attributive"]["map"]], answer.attributive.map)
        np.testing.assert_array_equal(maps[written["counterfactual"]["query"]["map"]], answer.why_not.finding.map)
        for key, numbers in written["maps"].items():
            assert numbers["shape"] == list(maps[key].shape)
            assert numbers["highest"] == pytest.approx(float(maps[key].max()))


def test_without_a_counter_photo_the_example_is_null(tmp_path):
    assert record.record(answers.answer(tmp_path, counter=False))["counterfactual"]["example"] is None


def test_what_is_not_finite_cannot_be_written(tmp_path, answer):
    with pytest.raises(ValueError, match="JSON compliant"):
        record.save(dataclasses.replace(answer, confidence=float("nan")), tmp_path)


def test_the_schema_describes_exactly_the_keys_that_are_written(answer):
    described = set(re.findall(r"^\| `([^`]+)` \|", SCHEMA.read_text(encoding="utf-8"), re.MULTILINE))
    assert described == keys(record.record(answer))


def keys(value, path: str = "") -> set[str]:
    """Dotted paths as the schema writes them; NAME stands for a name of the caller's, [] for each element."""
    if isinstance(value, list):
        return set().union(*(keys(inner, path + "[]") for inner in value)) if value else set()
    if not isinstance(value, dict):
        return set()
    found = set()
    for key, inner in value.items():
        free = path in ("maps", "provenance.options", "provenance.files")
        dotted = ".".join(filter(None, [path, "NAME" if free else key]))
        found |= {dotted} | keys(inner, dotted)
    return found
