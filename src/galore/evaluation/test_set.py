"""A trained network, the test images as it sees them, and what is known about them: all that an evaluation needs.

Annotations differ by data set (points of parts, masks of objects), and bring their own metrics and baselines with them.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, Num, UInt8

from galore import batching, counterparts, part_tables, representation
from galore.confidence import Predictor
from galore.counterparts import Counterparts
from galore.data import loader
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.preprocessing import Preprocessing
from galore.errors import InputError
from galore.evaluation import baselines, metrics
from galore.evaluation.ground_truth import AttributeTable
from galore.network import Network
from galore.part_tables import PartTables

Measures = dict[str, Any]
"""Named numbers of one map: "auroc" [], and curves over `metrics.FRACTIONS` [T]; of scenes once they are `judged`."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Parts:
    """Points of parts in the pixels of the network's input, one image or many; truth is a bool per part."""

    points: Num[Any, "*n P 2"]
    visible: Num[Any, "*n P"] | Bool[Any, "*n P"]
    box: Num[Any, "*n 4"]
    size: tuple[int, int] = dataclasses.field(metadata={"static": True})

    def score(self, map: Float[Array, "h w"], truth: Bool[Array, " P"]) -> Measures:
        """The AUROC at the parts, precision and recall of regions of every size."""
        return self.score_ranks(metrics.ranks(map, self.points, self.size), truth)

    def score_ranks(self, ranks: Int[Array, " P"], truth: Bool[Array, " P"]) -> Measures:
        """As `score`, for a map whose ranks are known."""
        curves = metrics.precision_recall(ranks, truth, self.visible, self.size)
        return {"auroc": metrics.auroc(ranks, truth, self.visible), **curves._asdict()}

    def read(self, maps: Float[Array, "C h w"]) -> Float[Array, "C P"]:
        """The values of maps at the parts, bilinear between the centres of their cells."""
        height, width = maps.shape[1:]
        rows = _linear_weights(self.points[:, 1] * (height / self.size[0]) - 0.5, height)
        columns = _linear_weights(self.points[:, 0] * (width / self.size[1]) - 0.5, width)
        return jnp.einsum("chw,ph,pw->cp", maps, rows, columns, precision=jax.lax.Precision.HIGHEST)

    @property
    def present(self) -> Bool[Any, "*n P"]:
        """Which parts the image shows."""
        return self.visible.astype(bool)

    def baselines(self, key: Key[Array, ""], truth: Bool[Array, " P"], shape: tuple[int, int]) -> list[Array]:
        """The maps that know nothing of the network: Gaussian, oracle, random, whole object (`methods.BASELINES`)."""
        first, second = jax.random.split(key)
        return [
            baselines.centred_gaussian(self.size),
            baselines.oracle(self.points, truth, self.visible, self.size),
            baselines.random(first, shape),
            baselines.whole_object(second, self.box, self.size, shape),
        ]


def _centres(pixels: int, cells: int) -> Float[Array, " pixels"]:
    """Where the centres of pixels lie in a row of cells, in cells from the centre of the first one."""
    return jnp.asarray((np.arange(pixels) + 0.5) * cells / pixels - 0.5, jnp.float32)


def _linear_weights(places: Float[Array, " P"], cells: int) -> Float[Array, "P n"]:
    """How much each cell of a row counts at places between their centres; beyond the ends, the last cell alone."""
    inside = jnp.clip(places, 0, cells - 1)
    return jnp.maximum(0, 1 - jnp.abs(inside[:, None] - jnp.arange(cells)))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Scenes:
    """Masks of objects in the pixels of the network's input (0: other, k: the k-th); truth is a bool per object."""

    mask: Num[Any, "*n H W"]
    size: tuple[int, int] = dataclasses.field(metadata={"static": True})
    objects: int = dataclasses.field(metadata={"static": True})

    def read(self, maps: Float[Array, "C h w"]) -> Float[Array, "C O"]:
        """The means of upsampled maps over the pixels of each object; 0 where it is not in the image."""
        # The mean over an object is linear in the map: its weights are those of its pixels, brought down to the cells.
        # The sums over an object's pixels go row by row, which takes no mask for each object.
        mask, cells = self.mask.astype(jnp.int32), maps.shape[1:]
        down, across = (_linear_weights(_centres(*one), one[1]) for one in zip(self.size, cells))
        rows = jnp.zeros((self.objects + 1, self.size[0], cells[1]))
        rows = rows.at[mask, np.arange(self.size[0])[:, None]].add(across)
        exact = jax.lax.Precision.HIGHEST
        weights = jnp.einsum("oyw,yh->ohw", rows[1:], down, precision=exact)
        areas = jnp.bincount(mask.ravel(), length=self.objects + 1)[1:]
        return jnp.einsum("chw,ohw->co", maps, weights, precision=exact) / jnp.maximum(areas, 1)

    @property
    def present(self) -> Bool[Array, " O"]:
        """Which objects are in the image."""
        return jnp.zeros(self.objects + 1, bool).at[self.mask.astype(jnp.int32).ravel()].set(True)[1:]

    def true_pixels(self, truth: Bool[Array, " O"]) -> Bool[Array, "H W"]:
        """The union of the ground-truth objects."""
        return jnp.append(jnp.zeros(1, bool), truth)[self.mask.astype(jnp.int32)]

    def score(self, map: Float[Array, "h w"], truth: Bool[Array, " O"]) -> Measures:
        """What `judged` makes the AUROC over pixels of, and the IoU of regions of every size."""
        return {"keys": metrics.pixel_keys(map, self.size), "true": self.true_pixels(truth).reshape(-1)}

    def baselines(self, key: Key[Array, ""], truth: Bool[Array, " O"], shape: tuple[int, int]) -> list[Array]:
        """As those of `Parts`; the whole object is every annotated pixel."""
        first, second, third = jax.random.split(key, 3)
        return [
            baselines.centred_gaussian(self.size),
            baselines.masked(third, self.true_pixels(truth), shape),
            baselines.random(first, shape),
            baselines.masked(second, self.mask > 0, shape),
        ]


Annotations = Parts | Scenes


def judged(measures: Measures) -> Measures:
    """Measures with what is left to be computed on the host: of the pixels of scenes "auroc" and "iou"."""
    if "keys" not in measures:
        return measures
    given = {name: np.asarray(values) for name, values in measures.items()}
    return metrics.pixel_scores(given.pop("keys"), given.pop("true"))._asdict() | given


class OtherTruth(NamedTuple):
    """The ground truth by those tables of attributes that were not chosen, to stand beside it."""

    discriminant: Bool[np.ndarray, "C C P"]
    shared: Bool[np.ndarray, "C C P"]
    discriminant_table: AttributeTable
    shared_table: AttributeTable


@dataclasses.dataclass(frozen=True, eq=False)
class TestSet:
    """A network and the test images that it is evaluated on.

    Attributes:
        net: the network that is explained.
        images: as the network sees them before normalisation.
        annotations: of these images.
        labels: their classes.
        logits: what the network says.
        discriminant: which parts or objects tell class a from class b.
        shared: which parts or objects the classes have in common.
        class_names: of the logits.
        predictor: of the easiness 1 - hardness(x); None: there is none.
        student: the classes that a weaker network predicts, the advanced user; None: there is none.
        image_ids: of the images, to find them again.
        other: the ground truth by the other tables of attributes; None: there is none.
        tables: parts by which the classes differ, found in other images; None: nobody looked (`with_part_tables`).
        counterparts: what cells would look like in other classes, found beside the tables.
    """

    net: Network
    images: UInt8[np.ndarray, "n H W 3"]
    annotations: Annotations
    labels: Int[np.ndarray, "n"]
    logits: Float[np.ndarray, "n C"]
    discriminant: Bool[np.ndarray, "C C P"]
    shared: Bool[np.ndarray, "C C P"]
    class_names: tuple[str, ...]
    image_ids: Int[np.ndarray, "n"]
    predictor: Predictor | None = None
    student: Int[np.ndarray, "n"] | None = None
    other: "OtherTruth | None" = None
    tables: PartTables | None = None
    counterparts: Counterparts | None = None

    __test__ = False  # pytest would take the class for tests
    __repr__ = representation.fields

    def __len__(self) -> int:
        return len(self.images)

    @property
    def predicted(self) -> Int[np.ndarray, "n"]:
        """The classes that the network predicts."""
        return self.logits.argmax(axis=1).astype(np.int32)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the network's input."""
        return self.annotations.size

    def inputs(self, rows: Int[np.ndarray, "k"]) -> Float[np.ndarray, "k H W 3"]:
        """The images as the network takes them."""
        return self.as_inputs(self.images[rows])

    def as_inputs(self, images: UInt8[np.ndarray, "k H W 3"]) -> Float[np.ndarray, "k H W 3"]:
        """Images of the size of these as the network takes them."""
        preprocessing = self.net.preprocessing
        return images.astype(np.float32) if preprocessing is None else preprocessing.normalise(images)

    def run(self, images: UInt8[np.ndarray, "k H W 3"], batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """The activations [k, h, w, d] and the logits [k, C] of images of the size of these."""
        batch_of = lambda some: self.as_inputs(images[some])  # noqa: E731
        return batching.run(lambda batch: _forward(self.net, batch), batch_of, len(images), batch_size)


def decode(dataset: PartDataset | SceneDataset, preprocessing: Preprocessing, batch_size: int = 32) -> dict[str, Any]:
    """The images of a data set as networks see them before normalisation, with their annotations, in one array each."""
    parts = [
        {name: value[batch["valid"]] for name, value in batch.items()}
        for batch in loader.batches(loader.prepared(dataset, preprocessing), batch_size)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def build(
    net: Network,
    dataset: PartDataset | SceneDataset,
    discriminant: Bool[np.ndarray, "C C P"],
    shared: Bool[np.ndarray, "C C P"],
    *,
    predictor: Predictor | None = None,
    student: Int[np.ndarray, "n"] | None = None,
    other: OtherTruth | None = None,
    decoded: dict[str, np.ndarray] | None = None,
    batch_size: int = 32,
) -> TestSet:
    """Decodes the images of a data set and lets the network classify them.

    Args:
        net: the network, with its preprocessing.
        dataset: the test images; every class of the network in the same order.
        discriminant, shared: the ground truth by pair of classes.
        predictor: of the easiness.
        student: what the advanced user predicts for these images.
        other: the ground truth by the other tables of attributes.
        decoded: what `decode` made of the data set for the network's preprocessing; None: it is done here.
        batch_size: how many images at once.

    Raises:
        InputError: there is no image, the network has other classes, or no preprocessing.
    """
    if len(dataset) == 0:
        raise InputError(f"{dataset.name} has no test image to evaluate the network on")
    if net.preprocessing is None:
        raise InputError("the network has no preprocessing, so that photos cannot be prepared for it")
    if net.class_names and tuple(net.class_names) != tuple(dataset.class_names):
        raise InputError(
            f"the network was trained for {len(net.class_names)} other classes than the {len(dataset.class_names)} of "
            f"{dataset.name}; give the checkpoint that was trained on it"
        )
    arrays = decode(dataset, net.preprocessing, batch_size) if decoded is None else decoded
    logits = _logits(net, arrays["image"], batch_size)
    if logits.shape[1] != len(dataset.class_names):
        raise InputError(
            f"the network has {logits.shape[1]} classes, {dataset.name} has {len(dataset.class_names)}; "
            "give the checkpoint that was trained on it"
        )
    size = arrays["image"].shape[1:3]
    if isinstance(dataset, PartDataset):
        box = arrays["box"].astype(np.float32)
        annotations: Annotations = Parts(arrays["points"].astype(np.float32), arrays["visible"], box, size)
        image_ids = dataset.image_ids
    else:
        annotations, image_ids = Scenes(arrays["mask"], size, discriminant.shape[-1]), np.arange(len(dataset))
    return TestSet(
        net=net,
        images=arrays["image"],
        annotations=annotations,
        labels=dataset.labels.astype(np.int32),
        logits=logits,
        discriminant=discriminant,
        shared=shared,
        class_names=tuple(dataset.class_names),
        image_ids=np.asarray(image_ids),
        predictor=predictor,
        student=student,
        other=other,
    )


def with_part_tables(
    test_set: TestSet,
    training: PartDataset | SceneDataset,
    key: Key[Array, ""],
    images_per_class: int = 30,
    batch_size: int = 32,
) -> TestSet:
    """The test set with part tables and counterparts, of the first training images of each class at the network's cut.

    Raises:
        InputError: the network has no preprocessing, or a class has no training image.
    """
    if test_set.net.preprocessing is None:
        raise InputError("the network has no preprocessing, so that photos cannot be prepared for it")
    by_class = [np.flatnonzero(training.labels == c)[:images_per_class] for c in range(len(test_set.class_names))]
    if missing := [name for name, rows in zip(test_set.class_names, by_class) if not len(rows)]:
        raise InputError(f"the class {missing[0]} has no training image to compare parts with")
    some = training.subset(np.concatenate(by_class))
    images = decode(some, test_set.net.preprocessing, batch_size)["image"]
    F = test_set.run(images, batch_size)[0]
    located = np.asarray(jax.vmap(lambda one: test_set.net.locations(one)[0])(jnp.asarray(F)))
    given = (located, some.labels.astype(np.int32), key)
    fitted = {"tables": part_tables.fit(*given), "counterparts": counterparts.fit(*given)}
    return dataclasses.replace(test_set, **fitted)


def _logits(net: Network, images: UInt8[np.ndarray, "n H W 3"], batch_size: int) -> Float[np.ndarray, "n C"]:
    preprocessing = net.preprocessing
    assert preprocessing is not None
    batch_of = lambda some: preprocessing.normalise(images[some])  # noqa: E731
    return batching.run(lambda batch: _forward_to_logits(net, batch), batch_of, len(images), batch_size, "test images")


@jax.jit
def _forward(net: Network, images: Float[Array, "B H W 3"]) -> tuple[Float[Array, "B h w d"], Float[Array, "B C"]]:
    return jax.vmap(net)(images)


@jax.jit
def _forward_to_logits(net: Network, images: Float[Array, "B H W 3"]) -> Float[Array, "B C"]:
    return jax.vmap(net)(images)[1].astype(jnp.float32)
