"""Commands with many options take them as one frozen dataclass: each of its fields becomes an option."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints


def expanded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with every dataclass among its parameters spread over its fields."""
    hints = get_type_hints(function, include_extras=True)
    bundles: dict[str, Any] = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    if not bundles:
        return function
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        bundle = bundles.get(parameter.name)
        parameters += [parameter] if bundle is None else _fields(bundle)
    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]

    @functools.wraps(function)
    def spread(**given: Any) -> Any:
        kept = {name: value for name, value in given.items() if name in hints}
        for name, bundle in bundles.items():
            fields = dataclasses.fields(bundle)
            kept[name] = bundle(**{one.name: given[one.name] for one in fields})
        return function(**kept)

    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in keywords}
    setattr(spread, "__signature__", inspect.Signature(keywords))  # noqa: B010
    return spread


def _fields(bundle: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(bundle, include_extras=True)
    return [
        inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name])
        for one in dataclasses.fields(bundle)
    ]
