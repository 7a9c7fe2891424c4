"""Forms in, named updates out."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

from charrnn.ui import wiring
from charrnn.ui.wiring import SKIP, Form, Html


@dataclass(frozen=True)
class Order(Form):
    title: str
    count: float | None
    sizes: tuple[int, ...]
    public: bool


class Shown(NamedTuple):
    head: Html = SKIP
    cells: tuple[Html, ...] = (SKIP, SKIP)
    foot: Html = SKIP


def test_a_form_is_read_in_the_order_of_its_fields():
    assert Order.read(["a", 3, 1, 2, True]) == Order("a", 3, (1, 2), True)
    assert Order.read(["a", 3, True]) == Order("a", 3, (), True)


def test_only_an_empty_text_takes_the_place_of_nothing():
    assert Order.read([None, None, 1, False]) == Order("", None, (1,), False)


def test_components_are_found_by_the_names_of_the_fields():
    tab = SimpleNamespace(count=2, sizes=(3, 4), public=5, foot=6)
    page = SimpleNamespace(title=1, public="a later holder", head=7, cells=(8, 9))
    assert wiring.inputs(Order, tab, page) == [1, 2, 3, 4, 5]
    assert wiring.outputs(Shown, tab, page) == [7, 8, 9, 6]


def test_an_update_has_as_many_values_as_outputs():
    assert wiring.flat(Shown(foot="x")) == (SKIP, SKIP, SKIP, "x")
    assert wiring.flat(Shown("a", ("b", "c"))) == ("a", "b", "c", SKIP)
