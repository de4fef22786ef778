"""Functions of the library as users call them: under `jax.jit`, which also takes less time than one operation after the
other."""

from typing import Any

import jax


def compiled(function: Any, *arguments: Any, **options: Any) -> Any:
    """What a function gives, compiled in one piece for arrays, networks and classes; its options are constants."""
    return jax.jit(lambda *given: function(*given, **options))(*arguments)
