"""The models that are called. The upstream recognizes those with an answer of their own by their names.

The names are single words, because some servers change anything else on the way to a tool name.
"""

ORDINARY = "ordinaryanswer"
LARGE = "largeanswer"
VERY_LARGE = "hugeanswer"
EVENTS = "eventanswer"
SLOW = "slowanswer"

EVENT_COUNT = 200
SLOW_SECONDS = 1.0
PROMPT = "Hi there"


def model_names(count: int) -> list[str]:
    """Return this many names, at least the five that are called."""
    called = [ORDINARY, LARGE, VERY_LARGE, EVENTS, SLOW]
    return [*called, *(f"model{number}" for number in range(len(called), count))]
