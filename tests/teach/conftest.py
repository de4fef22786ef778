import dataclasses
import json
from pathlib import Path

import driver
import invented_lessons as invented
import jax.numpy as jnp
import numpy as np
import pytest

from galore.data import cub
from galore.data.preprocessing import Preprocessing
from galore.data.synthetic.birds import SyntheticBirds
from galore.data.synthetic.birds import write as write_birds
from galore.network import Network
from galore.teach import build, design, network_maps, results, seal, sheet
from galore.teach.sheet import Sheet


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("data") / "images"


@pytest.fixture(scope="session")
def lesson_sheet(images) -> Sheet:
    return invented.lesson(images)


@pytest.fixture
def real_sheet(shared_data):
    """The experiment at its full size, of the first photos of two of CUB's classes."""

    def make(*folders: str) -> Sheet:
        root = shared_data / "CUB_200_2011" / "images"
        stock = [
            [invented.described(root, f"{folder}/{path.name}", k) for path in sorted((root / folder).iterdir())[:30]]
            for k, folder in enumerate(folders)
        ]
        return invented.lesson_of(stock, design.Sizes())

    return make


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
    return invented.agreement(images)


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
