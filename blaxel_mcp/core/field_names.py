"""Names of request fields, compared as lenient servers read them."""

import re

# In one pass: character by character, a name of megabytes would take many times its size.
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")

MAX_OUTPUT = frozenset(
    (
        *("maxtokens", "maxcompletiontokens", "maxoutputtokens", "maxnewtokens", "maxtokenstosample", "maxtokencount"),
        *("maxgenlen", "numpredict", "npredict"),
    )
)
"""Folded names of the limit on an answer's tokens, in the APIs of all providers."""

ANSWERS = frozenset(
    {
        *("n", "bestof", "candidatecount", "numgenerations", "numreturnsequences"),
        *("numberofimages", "numimages", "numimagesperprompt", "numoutputs", "samplecount"),
    }
)
"""Folded names of the number of answers or pictures."""

BATCHES = frozenset({"requests", "inlinedrequests"})
"""Folded names of an array of whole requests."""

CONVERSATIONS = frozenset({"messages", "contents", "input", "items", "additionalmessages", "history", "chathistory"})
"""Folded names of an array of messages."""

DATA = CONVERSATIONS | {
    *("arguments", "args", "content", "documents", "functions", "inputs", "inputschema", "jsonschema", "parts"),
    *("prompt", "properties", "responsejsonschema", "responseschema", "schema", "texts", "toolcalls", "tools"),
}
"""Folded names whose arrays and schemas hold a caller's data, not fields of the request."""


def fold(name: str) -> str:
    """Return a name in the form in which all spellings of one field are equal.

    Go's JSON readers ignore case by Unicode's rules, Google's accept snake and camel case, and form readers drop `[]`
    and spaces. Letters that only look alike stay different, as they do for every reader.
    """
    return _NOT_ALPHANUMERIC.sub("", name.casefold())
