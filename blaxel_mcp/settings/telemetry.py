"""OpenTelemetry's variables, which operators and agents pass to every process that they start."""

import os

_GROUPS = {
    "OTEL_PROPAGATORS": "opentelemetry_propagator",
    "OTEL_PYTHON_CONTEXT": "opentelemetry_context",
    "OTEL_PYTHON_TRACER_PROVIDER": "opentelemetry_tracer_provider",
    "OTEL_PYTHON_METER_PROVIDER": "opentelemetry_meter_provider",
}
"""The variables that name plug-ins, each with its group of entry points. The SDK loads them at import or at the first
span."""


def drop_unusable_telemetry() -> list[str]:
    """Remove from this process's environment the names of plug-ins that cannot be loaded; return a sentence for each.

    Call it before `mcp` is imported: OpenTelemetry raises there for a propagator that is not installed, such as AWS
    Lambda's `xray`, and at each request for a tracer provider.
    """
    problems = []
    for variable, group in _GROUPS.items():
        value = os.environ.get(variable)
        if value is None:
            continue
        names = [name.strip() for name in value.split(",") if name.strip()]
        usable = [name for name in names if name.lower() == "none" or _is_usable(group, name)]
        if usable != names:
            unusable = ", ".join(name for name in names if name not in usable)
            problems.append(f"{variable} names what is not installed and is ignored: {unusable}")
        if usable:
            os.environ[variable] = ",".join(usable)
        else:
            del os.environ[variable]
    return problems


def _is_usable(group: str, name: str) -> bool:
    # Reading the entry points of all packages takes tens of milliseconds.
    from importlib.metadata import entry_points  # noqa: PLC0415

    try:
        next(iter(entry_points(group=group, name=name))).load()()
    except Exception:  # noqa: BLE001 - a plug-in may raise anything
        return False
    return True
