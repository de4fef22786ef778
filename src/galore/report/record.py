"""explanation.json and maps.npz: every number of a report. docs/explanation_schema.md describes both."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from galore.report.answer import Answer, Candidate, Finding, Photo

SCHEMA = "galore.explanation/1"


def save(answer: Answer, folder: Path) -> tuple[str, ...]:
    """Writes explanation.json and maps.npz into a folder that exists; returns their names."""
    write_json(answer, folder / "explanation.json")
    write_maps(answer, folder / "maps.npz")
    return "explanation.json", "maps.npz"


def write_json(answer: Answer, path: Path) -> None:
    """Writes what `record` gives."""
    text = json.dumps(record(answer), indent=2, ensure_ascii=False, allow_nan=False)
    # What is no text in the name of a file becomes an escape of JSON, which gives the name back.
    path.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def write_maps(answer: Answer, path: Path) -> None:
    """Writes every map by its key; the name ends in .npz."""
    np.savez_compressed(path, allow_pickle=False, **answer.maps)


def record(answer: Answer) -> dict[str, Any]:
    """The answer as plain data.

    Args:
        answer: what to write down.

    Returns:
        What docs/explanation_schema.md describes.
    """
    example = answer.why_not.example
    return {
        "schema": SCHEMA,
        "photo": _photo(answer.photo),
        "methods": answer.methods,
        "classes": [_candidate(candidate) for candidate in answer.candidates],
        "confidence": answer.confidence,
        "attributive": {"class": _candidate(answer.prediction), **_finding(answer.attributive)},
        "deliberative": [
            {
                "classes": [_candidate(insecurity.first), _candidate(insecurity.second)],
                "strength": insecurity.strength,
                **_finding(insecurity.finding),
            }
            for insecurity in answer.insecurities
        ],
        "counterfactual": {
            "predicted": _candidate(answer.prediction),
            "counter": _candidate(answer.why_not.counter),
            "counter_was_named": answer.why_not.named,
            "query": _finding(answer.why_not.finding),
            "example": None
            if example is None
            else {
                "photo": _photo(example.photo),
                "prediction": _candidate(example.prediction),
                **_finding(example.finding),
            },
        },
        "maps": {
            key: {
                "shape": list(values.shape),
                "lowest": float(values.min()),
                "highest": float(values.max()),
                "sum": float(values.sum()),
            }
            for key, values in answer.maps.items()
        },
        "notes": list(answer.notes),
        "provenance": answer.provenance,
    }


def _photo(photo: Photo) -> dict[str, Any]:
    height, width = photo.pixels.shape[:2]
    return {
        "path": photo.path,
        "sha256": photo.sha256,
        "width": width,
        "height": height,
        "seen_by_network": [round(edge, 3) for edge in photo.window],
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "index": candidate.index,
        "name": candidate.name,
        "logit": candidate.logit,
        "probability": candidate.probability,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {"map": finding.key, "covered": finding.covered, "boxes": [list(box) for box in finding.boxes]}
