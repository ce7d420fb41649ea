// The connection of a view in an MCP host: JSON-RPC over postMessage (MCP Apps, 2026-01-26).

const APPS_VERSION = "2026-01-26";

/**
 * Return a connection to the host around this document, which is a transport to this server's tools as well.
 *
 * - `start()` greets the host and returns what it says of itself.
 * - `client` calls tools and reads resources, as the client of the Playground does.
 * - `fullScreen()` asks the host for the whole window; `hasFullScreen()` says whether it has one.
 *
 * `listeners` has a function for each notification of the host, by the end of its name: `tool-input` for one.
 */
export function hostConnection(name, config, listeners) {
  const pending = new Map();
  let lastId = 0;
  let host = {};

  window.addEventListener("message", ({ source, data }) => {
    if (source !== window.parent || data?.jsonrpc !== "2.0") return;
    if (data.method === undefined) settle(data);
    else if (data.id !== undefined) answer(data);
    else listeners[data.method.replace("ui/notifications/", "")]?.(data.params ?? {});
  });

  function settle({ id, result, error }) {
    const { resolve, reject } = pending.get(id) ?? {};
    pending.delete(id);
    if (error) reject?.(new Error(error.message ?? "The host refused the request."));
    else resolve?.(result);
  }

  function answer({ id, method }) {
    const known = ["ping", "ui/resource-teardown"].includes(method);
    post(known ? { id, result: {} } : { id, error: { code: -32601, message: `Unknown method: ${method}` } });
  }

  function request(method, params, { signal } = {}) {
    lastId += 1;
    const id = lastId;
    return new Promise((resolve, reject) => {
      pending.set(id, { resolve, reject });
      signal?.addEventListener("abort", () => {
        notify("notifications/cancelled", { requestId: id });
        settle({ id, error: { message: "cancelled" } });
      });
      post({ id, method, params });
    });
  }

  const client = {
    callTool: (tool, args, { signal } = {}) => request("tools/call", { name: tool, arguments: args }, { signal }),
    async readResource(uri) {
      if (host.hostCapabilities?.serverResources) return (await request("resources/read", { uri })).contents[0];
      const result = await client.callTool(config.resources, { uri });
      if (result.isError) throw new Error(result.content[0]?.text);
      return result.content[0].resource;
    },
  };

  return {
    client,
    notify,
    async start() {
      host = await request("ui/initialize", {
        protocolVersion: APPS_VERSION,
        appInfo: { name, version: "1" },
        appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
      });
      notify("ui/notifications/initialized", {});
      return host;
    },
    hasFullScreen: () => host.hostContext?.availableDisplayModes?.includes("fullscreen") ?? false,
    fullScreen: () => request("ui/request-display-mode", { mode: "fullscreen" }),
  };

  function notify(method, params) {
    post({ method, params });
  }
}

function post(message) {
  // The host's origin is not known to a view; what goes out is the view's own request.
  window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
}
