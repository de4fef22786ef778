"""Memory that a test no longer needs goes back to the system."""

import ctypes
import gc
import sys

import jax


def release() -> None:
    """Forgets what was compiled, collects what is unreachable, and trims the heap."""
    jax.clear_caches()
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)
