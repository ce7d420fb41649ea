// The first version of the TypeScript SDK, which knows the handshake era alone.

import { given, take } from "./steps.mjs";

const { load, server } = given();
const { Client } = load("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = load("@modelcontextprotocol/sdk/client/stdio.js");
const { StreamableHTTPClientTransport } = load("@modelcontextprotocol/sdk/client/streamableHttp.js");

const client = new Client({ name: "typescript-v1", version: "1" });
const { url, headers } = server;
await client.connect(
  url
    ? new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })
    : new StdioClientTransport({ ...server, stderr: "inherit" }),
);
await take(client, (call, options) => client.callTool(call, undefined, options));
