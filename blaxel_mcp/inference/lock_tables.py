"""Where locked fields can hide in a request: their synonyms, the wrappers around them, and each API's own place."""

import re
from collections.abc import Mapping

from blaxel_mcp.core.field_names import ANSWERS, MAX_OUTPUT

_SYNONYMS = (
    MAX_OUTPUT | {"maxlength"},
    ANSWERS,
    {
        *("system", "systeminstruction", "systeminstructions", "systemprompt", "systemmessage", "instructions"),
        *("additionalinstructions", "developer", "preamble", "preambleoverride"),
    },
    {"temperature", "temp"},
    {"topp", "p"},
    {"topk", "k"},
    {"stop", "stopsequence", "stopsequences", "stopwords"},
    {"seed", "randomseed"},
    {"reasoningeffort", "outputconfigeffort", "thinkinglevel", "thinkingconfigthinkinglevel"},
    {"thinkingbudget", "thinkingbudgettokens", "thinkingconfigthinkingbudget", "reasoningmaxtokens"},
    {"frequencypenalty"},
    {"presencepenalty"},
    {"repetitionpenalty", "repeatpenalty"},
    {"tools", "functions"},
    {"toolchoice", "functioncall", "toolconfig"},
    {"user", "safetyidentifier", "metadatauserid"},
    {
        *("responseformat", "textformat", "outputconfigformat", "outputformat"),
        *("responseformattype", "textformattype", "outputconfigformattype", "outputformattype"),
    },
    {"servicetier", "servicetiertype"},
)

SYNONYMS: Mapping[str, frozenset[str]] = {name: group for group in map(frozenset, _SYNONYMS) for name in group}
"""Each folded name with those that mean the same, in the APIs of all providers. They are removed at any depth."""

SYSTEM = SYNONYMS["system"]
TOOLS = SYNONYMS["tools"]

RELATED: Mapping[frozenset[str], frozenset[str]] = {
    SYNONYMS["reasoningeffort"]: SYNONYMS["thinkingbudget"]
    | {"enablethinking", "think", "reasoningenabled", "thinkingtype"},
    SYNONYMS["thinkingbudget"]: SYNONYMS["reasoningeffort"],
    SYNONYMS["responseformat"]: frozenset(
        {"guidedjson", "responsejsonschema", "responsemimetype", "responseschema", "structuredoutputs"}
    ),
    # Anthropic's fast mode, and the latency of Amazon Bedrock.
    SYNONYMS["servicetier"]: frozenset({"speed", "performanceconfiglatency"}),
    # A template decides whether the model sees its instructions.
    SYSTEM: frozenset({"chattemplate", "prompttemplate", "template"}),
    # Tools of the provider's own, which no list of tools names.
    TOOLS: frozenset(
        {
            *("connectors", "containerskills", "datasources", "enablesearch", "enablewebsearch", "mcpservers"),
            *("plugins", "searchoptions", "searchparameters", "toolresources", "websearch", "websearchoptions"),
        }
    ),
}
"""Folded names of fields that change the same in another way. They are removed with the group, at any depth."""

WRAPPERS = frozenset(
    (
        *("additionalmodelrequestfields", "body", "config", "extrabody", "generationconfig", "inferenceconfig"),
        *("options", "parameters", "params", "request"),
    )
)
"""Folded names of objects whose fields count as those of the request."""

NOTES = frozenset({"labels", "metadata"})
"""Folded names of objects whose fields are the caller's notes and change nothing, but for a few such as `user_id`."""

_PLACES = {
    "chat-completions": {"maxtokens": "max_tokens max_completion_tokens", "stop": "stop", "topp": "top_p"},
    "completions": {"maxtokens": "max_tokens", "stop": "stop", "topp": "top_p"},
    "responses": {
        "system": "instructions",
        "maxtokens": "max_output_tokens",
        "reasoningeffort": "reasoning.effort",
        "topp": "top_p",
    },
    "messages": {
        "system": "system",
        "maxtokens": "max_tokens",
        "stop": "stop_sequences",
        "topp": "top_p",
        "topk": "top_k",
        "thinkingbudget": "thinking.budget_tokens",
    },
    "cohere-chat": {"maxtokens": "max_tokens", "stop": "stop_sequences", "topp": "p", "topk": "k"},
    "generate-content": {
        "system": "systemInstruction",
        "maxtokens": "generationConfig.maxOutputTokens",
        "temperature": "generationConfig.temperature",
        "topp": "generationConfig.topP",
        "topk": "generationConfig.topK",
        "stop": "generationConfig.stopSequences",
        "n": "generationConfig.candidateCount",
        "seed": "generationConfig.seed",
        "frequencypenalty": "generationConfig.frequencyPenalty",
        "presencepenalty": "generationConfig.presencePenalty",
        "thinkingbudget": "generationConfig.thinkingConfig.thinkingBudget",
    },
}

PLACES: Mapping[str, Mapping[str, tuple[tuple[str, ...], ...]]] = {
    form: {name: tuple(tuple(place.split(".")) for place in places.split()) for name, places in fields.items()}
    for form, fields in _PLACES.items()
}
"""Where each API reads a field, the usual spelling first. A field that is not listed goes where the settings put it."""

CONVERSATION_OF: Mapping[str, str] = {
    "chat-completions": "messages",
    "cohere-chat": "messages",
    "messages": "messages",
    "responses": "input",
}
SYSTEM_IS_A_MESSAGE = frozenset({"chat-completions", "cohere-chat"})

_FORMATS = (
    (r"/chat/completions/?", "chat-completions"),
    (r"/completions/?", "completions"),
    (r"/responses/?", "responses"),
    (r"/messages(/count_tokens)?/?", "messages"),
    (r":(generatecontent|streamgeneratecontent)", "generate-content"),
    (r"/v2/chat/?", "cohere-chat"),
    (r"/embeddings/?", "embeddings"),
    (r"/images/(generations|edits|variations)/?", "images"),
    (r"/audio/(speech|transcriptions|translations)/?", "audio"),
    (r"/rerank/?", "rerank"),
)
"""The body's format at a path that ends like this."""


def body_format(path: str) -> str | None:
    """Return the format of a body at a decoded path: an API or a family of APIs; None if it is not known."""
    return next((name for ending, name in _FORMATS if re.search(rf"(?:{ending})\Z", path.casefold())), None)
