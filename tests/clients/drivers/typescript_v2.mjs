// The second version of the TypeScript SDK, in the era that it is asked for.

import { given, take } from "./steps.mjs";

const { load, server, era } = given();
const { Client, StreamableHTTPClientTransport } = load("@modelcontextprotocol/client");
const { StdioClientTransport } = load("@modelcontextprotocol/client/stdio");

const client = new Client({ name: "typescript-v2", version: "1" }, { versionNegotiation: { mode: era } });
const { url, headers } = server;
await client.connect(
  url
    ? new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })
    : new StdioClientTransport({ ...server, stderr: "inherit" }),
);
await take(client, (call, options) => client.callTool(call, options));
