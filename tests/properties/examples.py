"""The number of examples for a property, and strategies for JSON."""

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

_WISHED = os.environ.get("PROPERTY_EXAMPLES")
"""More examples, and different ones in each run; without it, the examples are always the same."""


def tried(examples: int = 100) -> settings:
    """Try a property on this many examples, or on PROPERTY_EXAMPLES of them."""
    return settings(
        max_examples=int(_WISHED) if _WISHED else examples,
        derandomize=_WISHED is None,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


any_text = st.text(st.characters(exclude_categories=()), max_size=40)
"""Any Python text, including halves of surrogate pairs."""

names = st.sampled_from(["id", "text", "data", "a/b", "m~n", "", "naïve", "content", "type"]) | st.text(max_size=12)

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)

scalars = st.none() | st.booleans() | numbers | st.text(max_size=60)

long_texts = st.builds(lambda unit, count: unit * count, st.text(min_size=1, max_size=9), st.integers(1, 700))


def nested(leaves: st.SearchStrategy[Any], *, leaves_at_most: int = 25) -> st.SearchStrategy[Any]:
    """Return a strategy for JSON values with these leaves."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=8) | st.dictionaries(names, inner, max_size=8),
        max_leaves=leaves_at_most,
    )


json_values = nested(scalars)

large_values = nested(scalars | long_texts | st.lists(numbers, min_size=20, max_size=200))
"""JSON values, many of them too long for a result."""
