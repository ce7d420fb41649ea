"""The checks in the order of a set-up, each after the checks that it depends on."""

from blaxel_mcp.setup.doctor.clients import clients
from blaxel_mcp.setup.doctor.models import calls, models
from blaxel_mcp.setup.doctor.network import access, certificates, clock, connection, names, proxy, token
from blaxel_mcp.setup.doctor.runner import Check
from blaxel_mcp.setup.doctor.server import footprint, server
from blaxel_mcp.setup.doctor.settings import audit, credentials, ledger, settings, versions, workspace

PLAN: tuple[Check, ...] = (
    Check("settings", "Settings", settings),
    Check("workspace", "Workspace", workspace, ("settings",)),
    Check("credentials", "Credentials", credentials, ("workspace",)),
    Check("proxy", "Proxy", proxy),
    Check("certificates", "Certificates", certificates),
    Check("names", "Host names", names, ("settings",)),
    Check("connection", "Connection and TLS", connection, ("settings", "certificates", "names")),
    Check("token", "Token", token, ("credentials", "connection")),
    Check("access", "Access to the workspace", access, ("token",)),
    Check("clock", "Clock", clock, ("access",)),
    Check("models", "Models", models, ("access",), seconds=120),
    Check("ledger", "Ledger", ledger, ("settings",)),
    Check("audit", "Audit file", audit, ("settings",)),
    Check("server", "This server over stdio", server, ("settings",)),
    Check("footprint", "Tools in the context", footprint, ("server",)),
    Check("clients", "Clients", clients, ("settings",), seconds=180),
    Check("versions", "Versions", versions),
)
"""Every check that is free of charge."""

CALLS = Check("calls", "Model calls", calls, ("models",), seconds=600)
"""The check of `--call`: one small request to each model, which is billed."""
