"""Batch sizes: the largest that fits, and from where on more images at once gain nothing."""

from collections.abc import Callable, Iterator, Mapping

from galore.errors import InputError

FINENESS = 16
"""The largest batch is found to a sixteenth: compilation takes long."""
LARGEST = 2**16
GAIN, KNEE = 1.05, 0.95


def largest(fits: Callable[[int], bool], step: int = 1) -> int:
    """The largest batch that fits, to a sixteenth of itself.

    Args:
        fits: whether a batch does; asked for few sizes, the small ones first.
        step: of which it is a multiple, the number of devices.

    Raises:
        InputError: not even the smallest one fits.
    """
    if not fits(step):
        raise InputError(f"not even a batch of {step} fits: expected a smaller network or image, or a larger device")
    most = step
    while 2 * most <= LARGEST and fits(2 * most):
        most *= 2
    if 2 * most > LARGEST:
        return most
    too_many = 2 * most
    while too_many - most > max(step, most // FINENESS // step * step):
        middle = most + (too_many - most) // step // 2 * step
        most, too_many = (middle, too_many) if fits(middle) else (most, middle)
    return most


def growing(images_per_s: Callable[[int], float | None], step: int = 1) -> Iterator[tuple[int, float | None]]:
    """Doubles the batch until it fails, or twice in a row gains less than a twentieth.

    Args:
        images_per_s: of a batch; None where it fails.
        step: the first batch, the number of devices.

    Yields:
        Each batch and its images a second.
    """
    batch, best, without = step, 0.0, 0
    while batch <= LARGEST and without < 2:
        rate = images_per_s(batch)
        yield batch, rate
        if rate is None:
            return
        without = 0 if rate > GAIN * best else without + 1
        best, batch = max(best, rate), 2 * batch


def knee(images_per_s: Mapping[int, float]) -> int:
    """The smallest batch with at least 95 % of the most images a second, of those by batch."""
    most = max(images_per_s.values())
    return min(batch for batch, rate in images_per_s.items() if rate >= KNEE * most)
