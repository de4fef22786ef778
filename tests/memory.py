"""Memory that a test no longer needs goes back to the system."""

import ctypes
import gc
import resource
import sys
from pathlib import Path

import jax

LARGE = 0.8e9
"""Bytes from which on a worker gives back what it holds."""


def release_if_large() -> None:
    """`release`, where this process holds much; what is compiled is of some use to later tests."""
    if sys.platform != "linux" or int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() > LARGE:
        release()


def release() -> None:
    """Forgets what was compiled, collects what is unreachable, and trims the heap."""
    jax.clear_caches()
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)
