"""What is made by name and keyword arguments: games, families of environments."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jaxrl_suite.errors import ConfigError, UnknownNameError


def made(kind: str, name: str, makers: Mapping[str, Callable[..., Any]], **options: Any) -> Any:
    """`makers[name](**options)`.

    Raises:
        UnknownNameError: for another name, called a `kind`. ConfigError: for options it does not take.
    """
    if name not in makers:
        raise UnknownNameError(kind, name, makers)
    try:
        inspect.signature(makers[name]).bind(**options)
    except TypeError as error:
        raise ConfigError(f"{name}: {error}") from None
    return makers[name](**options)
