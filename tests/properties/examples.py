"""How many examples a property is tried on, and the JSON that several of them are tried with."""

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

_WISHED = os.environ.get("PROPERTY_EXAMPLES")
"""More examples than the usual ones, and other ones at each run; CI always takes the same."""


def tried(examples: int = 100) -> settings:
    """Try a property on so many examples, or on as many as PROPERTY_EXAMPLES says."""
    return settings(
        max_examples=int(_WISHED) if _WISHED else examples,
        derandomize=_WISHED is None,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


any_text = st.text(st.characters(exclude_categories=()), max_size=40)
"""Text with everything that Python's has, halves of surrogate pairs too."""

names = st.sampled_from(["id", "text", "data", "a/b", "m~n", "", "naïve", "content", "type"]) | st.text(max_size=12)

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)

scalars = st.none() | st.booleans() | numbers | st.text(max_size=60)

long_texts = st.builds(lambda unit, count: unit * count, st.text(min_size=1, max_size=9), st.integers(1, 700))


def nested(leaves: st.SearchStrategy[Any], *, leaves_at_most: int = 25) -> st.SearchStrategy[Any]:
    """JSON values with these for leaves."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=8) | st.dictionaries(names, inner, max_size=8),
        max_leaves=leaves_at_most,
    )


json_values = nested(scalars)

large_values = nested(scalars | long_texts | st.lists(numbers, min_size=20, max_size=200))
"""JSON values many of which are too long for a result."""
