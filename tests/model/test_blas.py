"""Products are unsplit inside, and split as before afterwards."""

import pytest

from charrnn.model.blas import num_threads, unsplit


def test_products_are_unsplit_inside_and_split_as_before_afterwards() -> None:
    before = num_threads()
    if before is None:
        pytest.skip("NumPy is linked to another library")
    with unsplit():
        with unsplit():
            pass
        assert num_threads() == 1
    assert num_threads() == before
