"""Maps that know nothing of the network: what a number is worth is seen beside theirs.

Each is a map like any other, at the resolution of the network's input unless said otherwise.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key


def random(key: Key[Array, ""], shape: tuple[int, int]) -> Float[Array, "h w"]:
    """Independent uniform numbers; give it the shape of the network's own map, whose regions are as coarse."""
    return jax.random.uniform(key, shape)


def centred_gaussian(size: tuple[int, int], width: float = 0.25) -> Float[Array, "H W"]:
    """exp(-r^2 / 2): photographers centre what they photograph.

    Args:
        size: (height, width) of the image.
        width: the standard deviation as a share of the image's side.
    """
    # In numpy, from whole numbers: pixels that are equally far must be tied, which a compiler's rounding would undo.
    down, across = ((2 * np.arange(side) + 1 - side) / (2 * side * width) for side in size)
    return jnp.asarray(np.exp(-(down[:, None] ** 2 + across**2) / 2), jnp.float32)


def whole_object(key: Key[Array, ""], box: Float[Array, "4"], size: tuple[int, int], shape: tuple[int, int]) -> Array:
    """The object's bounding box, in random order: all of the box comes before anything outside it.

    Smaller regions than the box are random blobs inside it, as coarse as the network's own maps.

    Args:
        key: of the order.
        box: x, y, width, height in pixels of the image.
        size: (height, width) of the image.
        shape: of the network's own map.

    Returns:
        [H, W], in [1, 2] inside the box and [0, 1] outside.
    """
    y, x = _pixel_centres(size)
    inside = (x >= box[0]) & (x < box[0] + box[2]) & (y >= box[1]) & (y < box[1] + box[3])
    return masked(key, inside, shape)


def oracle(
    points: Float[Array, "P 2"], truth: Bool[Array, " P"], visible: Bool[Array, " P"], size: tuple[int, int]
) -> Float[Array, "H W"]:
    """The best map there is: positive where the nearest visible part is ground truth, negative elsewhere.

    Args:
        points: x, y in pixels of the image.
        truth: which parts are ground truth.
        visible: which parts are visible.
        size: (height, width) of the image.

    Returns:
        [H, W], 1 / (1 + distance to the nearest visible part in pixels), with the sign of that part.
    """
    y, x = _pixel_centres(size)
    # Distances are taken between pixels, so that a part's own pixel is never nearer to another part.
    on_pixels = jnp.floor(points) + 0.5

    def squared_distance(chosen: Bool[Array, " P"]) -> Float[Array, "H W"]:
        # One part after the other is 100 times faster on CPUs than a minimum over an axis of parts.
        nearest = jnp.full(size, jnp.inf)
        for part in range(points.shape[0]):
            squared = (x - on_pixels[part, 0]) ** 2 + (y - on_pixels[part, 1]) ** 2
            nearest = jnp.minimum(nearest, jnp.where(chosen[part], squared, jnp.inf))
        return nearest

    to_truth, to_other = squared_distance(truth & visible), squared_distance(~truth & visible)
    return jnp.where(to_truth < to_other, 1.0, -1.0) / (1 + jnp.sqrt(jnp.minimum(to_truth, to_other)))


def masked(key: Key[Array, ""], mask: Bool[Array, "H W"], shape: tuple[int, int]) -> Float[Array, "H W"]:
    """All of a mask's pixels, in random order, before all others: the oracle and the whole object of scenes.

    Args:
        key: of the order.
        mask: the pixels to prefer.
        shape: of the network's own map; the order is as coarse.
    """
    return mask + jax.image.resize(random(key, shape), mask.shape, "linear", antialias=False)


def _pixel_centres(size: tuple[int, int]) -> tuple[Float[Array, "H W"], Float[Array, "H W"]]:
    y, x = jnp.meshgrid(jnp.arange(size[0]) + 0.5, jnp.arange(size[1]) + 0.5, indexing="ij")
    return y, x
