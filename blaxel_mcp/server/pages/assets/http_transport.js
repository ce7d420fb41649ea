// MCP over streamable HTTP, protocol version 2026-07-28: every request is a POST of its own, without a handshake. To
// close its response is to cancel it.
//
// A transport is `send(message, {signal, onNotification})`, which returns the response to a request. Another one, such
// as postMessage to a host, can take its place; nothing else knows how messages travel.

import { eventData } from "./event_stream.js";

const VERSION_KEY = "io.modelcontextprotocol/protocolVersion";

/** Return a transport to this page's own server. */
export function httpTransport(secret) {
  return {
    async send(message, { signal, onNotification = () => {} } = {}) {
      const response = await post({
        method: "POST",
        headers: {
          Accept: "application/json, text/event-stream",
          Authorization: `Bearer ${secret}`,
          "Content-Type": "application/json",
          "MCP-Protocol-Version": message.params._meta[VERSION_KEY],
          "Mcp-Method": message.method,
          ...nameHeader(message.params),
        },
        body: JSON.stringify(message),
        signal,
      });
      const type = response.headers.get("Content-Type") ?? "";
      if (!type.startsWith("text/event-stream")) return singleResponse(response);
      for await (const data of eventData(response.body)) {
        const received = JSON.parse(data);
        if ("id" in received) return received;
        onNotification(received);
      }
      throw new Error("The server closed the connection before the answer was complete.");
    },
  };
}

async function post(options) {
  try {
    return await fetch("/mcp", options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is `blaxel-mcp playground` still running?");
  }
}

function nameHeader({ name, uri }) {
  const value = name ?? uri;
  return value === undefined ? {} : { "Mcp-Name": value };
}

async function singleResponse(response) {
  const body = await response.json().catch(() => null);
  if (body?.jsonrpc) return body;
  throw new Error(body?.error_description ?? `The server answered with status ${response.status}.`);
}
