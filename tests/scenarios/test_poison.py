"""120 bad rows among 520 change nothing: no figure of the report, no byte of the model."""

import pytest

from benchmarks.poison import DUPLICATES, EXPECTED, REFUSED, compare


@pytest.mark.slow
def test_bad_rows_change_no_digit_and_no_byte_and_are_counted_by_reason() -> None:
    found = compare(seed=1, features=2)

    assert found.different == ()
    assert (found.same_bytes, found.same_data) == (True, True)
    assert found.quarantined == {name: count for name, count in EXPECTED.items() if name != "synthetic"}
    assert (found.refused, found.duplicates) == (REFUSED, DUPLICATES)
    assert REFUSED + DUPLICATES + sum(EXPECTED.values()) == 120
