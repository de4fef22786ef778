"""The checks of shapes and types in all signatures of the package, which the tests alone switch on."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jaxtyping

CONTEXT = jaxtyping.jaxtyped
"""As a context, in which the axes of shapes get their sizes."""


def jaxtyped(*, typechecker: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What jaxtyping's own checks, in one function instead of three: that one binds the arguments, checks them in a
    copy of the signature, and once more together with what is returned in another. Where functions are called as often
    as here, a tenth of all time went there."""

    def checked(decorated: Any) -> Any:
        if isinstance(decorated, (classmethod, staticmethod)):
            return type(decorated)(checked(decorated.__func__))
        if isinstance(decorated, property):
            return property(checked(decorated.fget))
        if inspect.isclass(decorated):
            if "__dataclass_fields__" in vars(decorated):
                decorated.__init__ = checked(decorated.__init__)
            return decorated
        if not inspect.isfunction(decorated) or not decorated.__annotations__:
            return decorated
        function = typechecker(_resolved(decorated))

        @functools.wraps(decorated)
        def call(*arguments, **options):
            if jaxtyping.config.jaxtyping_disable:
                return decorated(*arguments, **options)
            with CONTEXT("context"):
                return function(*arguments, **options)

        return call

    return checked


def _resolved(function: Any) -> Any:
    """The function with its types; those that are not known yet, or to type checkers alone, are any."""
    names = function.__globals__
    for name, hint in function.__annotations__.items():
        if isinstance(hint, str):
            try:
                function.__annotations__[name] = eval(hint, names)
            except NameError:
                function.__annotations__[name] = Any
    return function
