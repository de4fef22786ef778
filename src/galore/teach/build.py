"""The page, written from the sheet and the data set's images alone: the same bytes from the same sheet."""

import base64
import hashlib
import html
import io
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from galore import atomic, foreign
from galore.data import photo
from galore.data.geometry import Transform
from galore.errors import InputError
from galore.teach import outline, seal
from galore.teach import sheet as sheets
from galore.teach.sheet import LitRegion, Picture, Sheet, Trial

SIDE, EXAMPLE_SIDE = 400, 200
QUALITY = 80
HIDDEN = 96
"""The grey of what an agreement question does not show."""

LONGEST_WORDS = 5000
"""Characters of a paragraph that the experimenter wrote for the page."""


def write(sheet: Sheet, images: Path, out: Path) -> None:
    """Makes the folder of an experiment, see `fill`.

    Raises:
        InputError: as `fill`, or the folder is not empty.
    """
    with atomic.folder(out) as folder:
        fill(sheet, images, folder)


def fill(sheet: Sheet, images: Path, folder: Path) -> None:
    """Writes an experiment into its folder, which is there: the sheet, the links, and the page in one of its own.

        page/index.html, page/images/*.jpg    to be published
        sheet.json, links.txt                 to be kept

    Args:
        sheet: the experiment.
        images: the data set's folder of images.
        folder: of the experiment.

    Raises:
        InputError: an image is missing, is not the one that the sheet was made from, or lies elsewhere.
    """
    sheets.write(sheet, folder / "sheet.json")
    (folder / "links.txt").write_text(links(sheet), "utf-8")
    shown = folder / "page" / "images"
    shown.mkdir(parents=True)
    hidden = {trial.picture: trial.shown for trial in sheet.trials if trial.shown}
    examples = {id for trial in sheet.trials for ids in trial.examples for id in ids}
    for picture in sheet.pictures:
        side = EXAMPLE_SIDE if picture.id in examples else SIDE
        file = foreign.inside(shown, f"{picture.id}.jpg", "the sheet")
        file.write_bytes(jpeg(picture, images, side, hidden.get(picture.id)))
    (folder / "page" / "index.html").write_text(page(sheet), "utf-8")


def links(sheet: Sheet) -> str:
    """What to append to the page's address, a line for each learner; nothing tells the condition."""
    return "".join(f"?code={place.code}\n" for place in sheet.places)


def jpeg(picture: Picture, images: Path, side: int, shown: LitRegion | None = None) -> bytes:
    """The picture as the page shows it: the square that the network saw, with nothing but pixels in the file."""
    path = foreign.inside(images, picture.path, "the sheet")
    content = photo.content(path)
    if hashlib.sha256(content).hexdigest() != picture.sha256:
        raise InputError(f"{path} is not the image that the sheet was made from")
    pixels = photo.decode(content, path).pixels
    x0, y0, x1, y1 = picture.window
    side = min(side, max(round(x1 - x0), 160))
    square = Transform(pixels.shape[0], pixels.shape[1], (x0, y0, x1, y1), side, side).pixels(pixels)
    if shown is not None:
        square = _only(square, shown)
    data = io.BytesIO()
    Image.fromarray(square).save(data, "JPEG", quality=QUALITY, optimize=True)
    return data.getvalue()


def _only(square: UInt8[np.ndarray, "s s 3"], shown: LitRegion) -> UInt8[np.ndarray, "s s 3"]:
    inside = outline.mask(shown.outline, len(square))
    return np.where(inside[..., None], square, np.uint8(HIDDEN))


def page(sheet: Sheet) -> str:
    """The page as one HTML document; only the images lie beside it."""
    files = resources.files("galore.teach").joinpath("page")
    style = files.joinpath("style.css").read_text("utf-8")
    names = ("sealed.js", "texts.js", "learner.js", "pictures.js", "finish.js", "app.js")
    script = '"use strict";\n' + "".join(files.joinpath(name).read_text("utf-8") for name in names)
    # The policy is for the text between the tags, line breaks included.
    digest = base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode()
    filled = {
        "title": "Telling two kinds apart" if sheet.kind == sheets.TEACH else "Small pieces of pictures",
        "policy": html.escape(policy(digest, sheet.post_to), quote=True),
        "style": style,
        "script": script,
        "experiment": json.dumps(content(sheet), separators=(",", ":")).replace("<", "\\u003c"),
    }
    text = files.joinpath("index.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda gap: filled[gap[1]], text)


def policy(script_digest: str, post_to: str) -> str:
    """A Content-Security-Policy under which the page can ask for nothing but its own images."""
    target = "'none'"
    if post_to:
        parts = urlsplit(post_to)
        target = f"{parts.scheme}://{parts.netloc}"
    return (
        f"default-src 'none'; script-src 'sha256-{script_digest}'; style-src 'unsafe-inline'; "
        f"img-src 'self' data: file:; connect-src {target}; base-uri 'none'; form-action 'none'"
    )


def content(sheet: Sheet) -> dict[str, Any]:
    """What the page knows: no name, path, label or condition, and every truth sealed."""
    number = {condition: index + 1 for index, condition in enumerate(sheet.conditions)}
    trials = {trial.id: _question(sheet, trial) for trial in sorted(sheet.trials, key=lambda trial: trial.id)}
    return {
        "kind": sheet.kind,
        "version": sheets.VERSION,
        "experiment": sheet.experiment,
        "subject": foreign.name(sheet.subject),
        "labels": [foreign.name(label) for label in sheet.labels],
        "contact": foreign.text(sheet.contact, LONGEST_WORDS),
        "consent": [foreign.text(words, LONGEST_WORDS) for words in sheet.consent.split("\n\n") if words.strip()],
        "postTo": sheet.post_to,
        "sizes": sheet.settings["sizes"],
        "conditions": len(sheet.conditions),
        "rounds": {"feedback": seal.FEEDBACK_ROUNDS, "result": seal.RESULT_ROUNDS},
        "pictures": {id: f"images/{id}.jpg" for id in sorted(picture.id for picture in sheet.pictures)},
        "trials": trials,
        "orders": sheet.orders,
        "places": {place.code: [number[place.condition], place.order] for place in sheet.places},
        "truth": _truth(sheet),
    }


def _question(sheet: Sheet, trial: Trial) -> dict[str, Any]:
    question: dict[str, Any] = {"picture": trial.picture}
    if any(trial.examples):
        question["examples"] = trial.examples
    if trial.counter:
        question["sealed"] = _sealed(sheet, trial)
    return question


def _sealed(sheet: Sheet, trial: Trial) -> dict[str, str]:
    """The answer and what is lit, for each condition's number; as long for all, so that the length tells none."""
    answers = [
        {"truth": trial.truth, "counter": trial.counter, "lit": _drawn(trial.lit[condition])}
        for condition in sheet.conditions
    ]
    size = max(len(seal.plain(answer)) for answer in answers)
    return {
        str(number): seal.seal(answer, f"{sheet.experiment} {trial.id} {number}", seal.FEEDBACK_ROUNDS, size)
        for number, answer in enumerate(answers, 1)
    }


def _drawn(lit: tuple[LitRegion, LitRegion]) -> list[dict[str, Any]]:
    """The outlines and the named parts of a pair; the parts that have room carry the same number in both pictures."""
    number = {k: n for n, k in enumerate(outline.spaced(list(zip(lit[0].marks, lit[1].marks))), 1)}
    return [
        {
            "outline": region.outline,
            "marks": [
                {"name": foreign.name(mark.name), "x": mark.x, "y": mark.y, "number": number.get(k, 0)}
                for k, mark in enumerate(region.marks)
            ],
        }
        for region in lit
    ]


def _truth(sheet: Sheet) -> str:
    if sheet.kind == sheets.AGREE:
        return ""
    answers = {trial.id: trial.truth for trial in sheet.trials if not trial.counter}
    names = [foreign.name(name.replace("_", " ")) for name in sheet.classes]
    return seal.seal({"answers": answers, "names": names}, sheet.experiment, seal.RESULT_ROUNDS)
