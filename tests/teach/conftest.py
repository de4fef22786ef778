import dataclasses
import hashlib
import json
from pathlib import Path

import driver
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from galore.data import cub
from galore.data.preprocessing import Preprocessing
from galore.data.synthetic.birds import SyntheticBirds
from galore.data.synthetic.birds import write as write_birds
from galore.network import Network
from galore.teach import build, design, network_maps, results, seal, sheet
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


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("data") / "images"


@pytest.fixture(scope="session")
def lesson_sheet(images) -> Sheet:
    """A teaching experiment made by hand: 4 questions, 3 pairs, 4 questions."""
    stock = [[picture(images, f"00{k}.Bird_{k}/{i}.jpg", k, 100 * k + i) for i in range(7)] for k in (0, 1)]
    return lesson_of(stock, SIZES)


@pytest.fixture
def real_sheet(shared_data):
    """The experiment at its full size, of the first photos of two of CUB's classes."""

    def make(*folders: str) -> Sheet:
        root = shared_data / "CUB_200_2011" / "images"
        stock = [
            [described(root, f"{folder}/{path.name}", k) for path in sorted((root / folder).iterdir())[:30]]
            for k, folder in enumerate(folders)
        ]
        return lesson_of(stock, design.Sizes())

    return make


@pytest.fixture(scope="session")
def chromium():
    """Chromium without a window, for all tests of a worker; without one they are skipped, with the reason."""
    with driver.started() as started:
        yield started


@pytest.fixture
def browser(chromium):
    """The browser as large as on a desk, whatever ran before; a test leaves no message on its console."""
    driver.resize(chromium, 1200, 800)
    driver.errors(chromium)
    yield chromium
    assert driver.errors(chromium) == []


@pytest.fixture(scope="session")
def page(lesson_sheet, images, tmp_path_factory) -> Path:
    """The published folder of the teaching experiment."""
    folder = tmp_path_factory.mktemp("lesson") / "made"
    build.write(lesson_sheet, images, folder)
    return folder / "page"


@pytest.fixture(scope="session")
def agree_sheet(images) -> Sheet:
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


@pytest.fixture
def result_file(tmp_path):
    """Writes the result file of an invented learner, who answers as a function of the phase and the truth."""

    def write(made: Sheet, answer, *, learner="l1", seat=0, simulation="", name=None, **changed) -> Path:
        place = made.places[seat]
        truth = {trial.id: trial.truth for trial in made.trials}
        order = made.orders[place.order]
        body = {
            "format": results.FORMAT,
            "version": sheet.VERSION,
            "experiment": made.experiment,
            "learner": learner,
            "place": place.code,
            "condition": made.conditions.index(place.condition) + 1,
            "order": place.order,
            "simulation": simulation,
            "answers": [
                {
                    "trial": id,
                    "answer": answer(phase, truth[id]),
                    "milliseconds": 1500,
                    "interrupted": 0,
                    "studied": 9000 * (phase == "training"),
                }
                for id, phase in zip(order, made.phases(place.order))
            ],
        } | changed
        path = tmp_path / (name or f"{learner}.json")
        path.write_text(json.dumps(body | {"checksum": seal.checksum(body)}))
        return path

    return write


@pytest.fixture(scope="session")
def fitted():
    """A function of a data set: colours and their squares in 6 x 6 cells, and a linear head that fits every image."""

    def features(params, image):
        cells = image.reshape(6, 8, 6, 8, 3).mean((1, 3))
        return jnp.concatenate([cells, cells**2], -1)

    def head(params, F):
        return params["weight"] @ (F - params["mean"]).ravel()

    def fit(dataset):
        preprocessing = Preprocessing(resize=48, crop=48)
        paths = [dataset.image_path(i) for i in range(len(dataset))]
        images = network_maps.images_of(Network({}, features, head, preprocessing), paths)
        F = np.stack([np.asarray(features({}, jnp.asarray(image))) for image in images])
        flat = (F - F.mean(0)).reshape(len(F), -1)
        count = len(dataset.class_names)
        weight = np.linalg.lstsq(flat, 3 * np.eye(count)[dataset.labels] - 1, rcond=0.01)[0].T
        params = {"mean": jnp.asarray(F.mean(0)), "weight": jnp.asarray(weight, jnp.float32)}
        return Network(params, features, head, preprocessing, dataset.class_names, "cells", "colours")

    return fit


@pytest.fixture(scope="session")
def birds(tmp_path_factory):
    """Invented birds of three species."""
    folder = tmp_path_factory.mktemp("birds") / "birds"
    write_birds(folder, SyntheticBirds(3, 24, 0, 48), 1)
    return cub.read(folder)


@pytest.fixture(scope="session")
def net(birds, fitted):
    """A network that gets the invented birds right."""
    return fitted(birds)


@pytest.fixture
def changed():
    return dataclasses.replace
