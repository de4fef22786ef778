"""What stands in for pixels that were removed: noisy linear imputation.

Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution Methods" (ROAD), ICML 2022.
"""

import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg
from jaxtyping import Array, Bool, Float, Key

DIRECT, DIAGONAL = 1 / 6, 1 / 12
"""The weights of the neighbours beside and at the corners of a pixel."""


def noisy_linear(
    image: Float[Array, "H W c"], missing: Bool[Array, "H W"], key: Key[Array, ""], noise: float = 0.01
) -> Float[Array, "H W c"]:
    """The image with each missing pixel as the weighted mean of its eight neighbours, missing ones too, plus noise.

    The means are the solution of one sparse linear system, here by conjugate gradients without a matrix. At the edge
    the weights of the neighbours that exist count alone.

    Args:
        image: the picture.
        missing: which pixels to fill.
        key: of the noise.
        noise: its standard deviation, in the image's units.

    Returns:
        The filled picture; zeros and noise where every pixel is missing.
    """
    hole = missing[..., None]
    given = jnp.where(hole, 0, image.astype(jnp.float32))
    weights = _neighbours(jnp.ones((*missing.shape, 1)))
    known = jnp.sum(~hole)
    start = jnp.where(hole, jnp.sum(given, (0, 1)) / jnp.maximum(known, 1), 0)

    def excess(filled: Array) -> Array:
        """How far missing pixels lie above the mean of their missing neighbours; symmetric and positive."""
        return jnp.where(hole, weights * filled - _neighbours(jnp.where(hole, filled, 0)), filled)

    filled, _ = cg(excess, jnp.where(hole, _neighbours(given), 0), x0=start, tol=1e-6)
    filled = filled + noise * jax.random.normal(key, image.shape)
    return jnp.where(hole, filled, image).astype(image.dtype)


def _neighbours(values: Float[Array, "H W c"]) -> Float[Array, "H W c"]:
    """The weighted sum of the eight neighbours of each pixel; nothing lies beyond the edge."""
    height, width, _ = values.shape
    padded = jnp.pad(values, ((1, 1), (1, 1), (0, 0)))
    at = lambda y, x: padded[1 + y : 1 + y + height, 1 + x : 1 + x + width]  # noqa: E731
    beside = at(0, 1) + at(0, -1) + at(1, 0) + at(-1, 0)
    corners = at(1, 1) + at(1, -1) + at(-1, 1) + at(-1, -1)
    return DIRECT * beside + DIAGONAL * corners
