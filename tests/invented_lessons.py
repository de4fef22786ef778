"""Experiments with people made by hand, of noise for photos."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from galore.teach import design, sheet
from galore.teach.sheet import LitRegion, Mark, Picture, Sheet, Trial

SIZES = design.Sizes(before=4, pairs=3, after=4)
SQUARE = "M200 200L600 200L600 600L200 600Z"


def picture(folder: Path, name: str, label: int, seed: int) -> Picture:
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((160, 120)).save(path, quality=60)
    return described(folder, name, label)


def described(folder: Path, name: str, label: int) -> Picture:
    """A photo as a sheet describes it, shown as its central square."""
    path = folder / name
    with Image.open(path) as photo:
        side, x, y = min(photo.size), photo.width, photo.height
    window = (x - side) / 2, (y - side) / 2, (x + side) / 2, (y + side) / 2
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Picture(sheet.opaque(0, "picture", name), name, digest, label, window, "test")


def lesson_of(stock: list[list[Picture]], sizes: design.Sizes) -> Sheet:
    """A teaching experiment made by hand, of as many pictures of A and of B as it takes."""
    left = [list(pictures) for pictures in stock]

    def questions(count: int) -> tuple[Trial, ...]:
        pictures = [left[k % 2].pop() for k in range(count)]
        return tuple(Trial(sheet.opaque(0, "trial", p.id), p.id, "AB"[p.label]) for p in pictures)

    lit = {
        "counterfactual": (LitRegion(SQUARE, (Mark("eye", 0.3, 0.3),)), LitRegion(SQUARE, (Mark("eye", 0.5, 0.5),))),
        "attributive": (LitRegion(SQUARE), LitRegion(SQUARE)),
        "random": (LitRegion(SQUARE), LitRegion(SQUARE)),
        "whole": (LitRegion(""), LitRegion("")),
    }
    before = questions(sizes.before)
    pairs = [dataclasses.replace(trial, lit=lit) for trial in questions(sizes.pairs)]
    training = tuple(dataclasses.replace(trial, counter=left["BA".index(trial.truth)].pop().id) for trial in pairs)
    after = questions(sizes.after)
    trials = (*before, *training, *after)
    used = {id for trial in trials for id in (trial.picture, trial.counter)}
    return Sheet(
        kind=sheet.TEACH,
        data="invented",
        classes=("Rusty_Bird", "Plain_Bird"),
        labels=("A", "B"),
        subject="birds",
        network={"name": "none", "layer": "", "params_sha256": ""},
        settings={"seed": 0, "fraction": 0.1, "sizes": dataclasses.asdict(sizes)},
        conditions=design.numbered(design.CONDITIONS, 0),
        pictures=tuple(p for pictures in stock for p in pictures if p.id in used),
        trials=trials,
        orders=design.orders(*([trial.id for trial in phase] for phase in (before, training, after)), seed=0),
        places=design.places(design.CONDITIONS, 40, 0),
    )


def lesson(images: Path) -> Sheet:
    """A teaching experiment made by hand: 4 questions, 3 pairs, 4 questions."""
    stock = [[picture(images, f"00{k}.Bird_{k}/{i}.jpg", k, 100 * k + i) for i in range(7)] for k in (0, 1)]
    return lesson_of(stock, SIZES)


def agreement(images: Path) -> Sheet:
    """An agreement experiment made by hand: 2 pieces in each of 3 groups."""
    stock = [[picture(images, f"01{k}.Fish_{k}/{i}.jpg", k, 500 + 100 * k + i) for i in range(5)] for k in (0, 1)]
    examples = tuple(tuple(p.id for p in stock[k][3:]) for k in (0, 1))
    groups = ["insecurity softmax", "random", "discriminant"]
    trials = tuple(
        Trial(
            sheet.opaque(0, "trial", p.id), p.id, "AB"[k], shown=LitRegion(SQUARE), group=groups[i], examples=examples
        )
        for k in (0, 1)
        for i, p in enumerate(stock[k][:3])
    )
    ids = tuple(trial.id for trial in trials)
    return Sheet(
        kind=sheet.AGREE,
        data="invented",
        classes=("Cod", "Eel"),
        labels=("A", "B"),
        subject="fish",
        network={},
        settings={"seed": 0, "fraction": 0.1, "sizes": {"trials": 6}},
        conditions=(sheet.AGREE,),
        pictures=tuple(p for k in (0, 1) for p in stock[k]),
        trials=trials,
        orders=(ids, ids[::-1]),
        places=design.places((sheet.AGREE,), 4, 0, count=2),
    )
