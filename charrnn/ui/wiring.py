"""How typed handlers meet Gradio's events: forms in, named updates out.

Gradio calls an event's function with the values of the input components in
their order, and takes a tuple in the order of the output components. Here each
order is written once: the fields of a `Form` are the inputs, the fields of an
update (a NamedTuple) are the outputs, and the object that holds a tab's
components calls them by the same names.
"""

import dataclasses
import typing
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Self

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component

from charrnn.ui.border import check_type

Update = dict[str, Any]  # what `gr.update` returns: properties that change
Html = str | Update
SKIP: Final[Update] = gr.skip()

# of all events that are no public endpoints
PRIVATE: Final[dict[str, Any]] = {
    "api_visibility": "private",
    "show_progress": "hidden",
}
QUIET: Final[dict[str, Any]] = {**PRIVATE, "queue": False}
# of those that ask the Hub, or take in what may be as large: so many at once in all
FROM_OUTSIDE: Final[dict[str, Any]] = {
    "api_visibility": "private",
    "concurrency_id": "hub",
    "concurrency_limit": 4,
}


def _hints(form: type["Form"]) -> dict[str, Any]:
    return typing.get_type_hints(form)


@dataclasses.dataclass(frozen=True)
class Form:
    """What a visitor has entered: each field is the value of an input component.

    A field may be a tuple: it stands for several components, as many as others.
    """

    @classmethod
    def read(cls, values: Sequence[object]) -> Self:
        """The form of the values that Gradio hands to an event's function.

        An empty text box may send nothing, which is an empty text. Values are
        a stranger's: they are of the fields' types afterwards, and whether they
        make sense is for the handler to check.

        Raises:
            InputError: If a value is not of its field's type.
        """
        hints, given = _hints(cls), iter(values)
        tuples = sum(typing.get_origin(hint) is tuple for hint in hints.values())
        several = (len(values) - len(hints) + tuples) // max(1, tuples)
        fields: dict[str, Any] = {}
        for name, hint in hints.items():
            if typing.get_origin(hint) is tuple:
                part = typing.get_args(hint)[0]
                fields[name] = tuple(
                    _typed(name, part, next(given)) for _ in range(several)
                )
            else:
                fields[name] = _typed(name, hint, next(given))
        return cls(**fields)


def _typed(name: str, hint: object, value: object) -> object:
    read = "" if value is None and hint is str else value
    check_type(name, hint, read)
    return read


def _spread(items: Iterable[Any]) -> list[Any]:
    """The items, with those that are plain tuples taken apart."""
    flat: list[Any] = []
    for item in items:
        flat.extend(item if isinstance(item, tuple) else (item,))
    return flat


def _named(names: Iterable[str], holders: Sequence[object]) -> list[Any]:
    """What bears each name in the first of the holders that knows it."""
    found = []
    for name in names:
        holder = next((h for h in holders if hasattr(h, name)), holders[-1])
        found.append(getattr(holder, name))
    return _spread(found)


def inputs(form: type[Form], *holders: object) -> list[Component]:
    """The components whose values make a form, in its order.

    Args:
        form: Names the components.
        *holders: Objects that hold components under these names.
    """
    return _named(_hints(form), holders)


def outputs(update: type[NamedTuple], *holders: object) -> list[Block]:
    """The components that an update changes, in its order."""
    return _named(update._fields, holders)


def flat(update: NamedTuple) -> tuple[object, ...]:
    """An update as Gradio takes it: with its tuples taken apart."""
    return tuple(_spread(update))
