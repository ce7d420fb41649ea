// The part of MCP that the page needs, over any transport.

const PROTOCOL_VERSION = "2026-07-28";
const PARTIAL_KEY = "blaxel-mcp/partial";

/** Return a client whose methods reject with an `Error` that says what went wrong. */
export function mcpClient(transport) {
  let lastRequest = 0;

  async function request(method, params, options) {
    lastRequest += 1;
    const meta = {
      "io.modelcontextprotocol/protocolVersion": PROTOCOL_VERSION,
      "io.modelcontextprotocol/clientInfo": { name: "blaxel-mcp-playground", version: "1" },
      "io.modelcontextprotocol/clientCapabilities": {},
      ...params._meta,
    };
    const message = { jsonrpc: "2.0", id: lastRequest, method, params: { ...params, _meta: meta } };
    const response = await transport.send(message, options);
    if (response.error) throw new Error(response.error.message);
    return response.result;
  }

  return {
    /** Return the definition of every tool. */
    async listTools() {
      const tools = [];
      let cursor;
      do {
        const page = await request("tools/list", cursor ? { cursor } : {});
        tools.push(...page.tools);
        cursor = page.nextCursor;
      } while (cursor);
      return tools;
    },

    /**
     * Call a tool and return its result.
     *
     * `onText` is called with the whole text so far each time it has grown, `onStatus` with a sentence on why the call
     * waits. Aborting `signal` cancels the call, at the model too.
     */
    callTool(name, args, { signal, onText = () => {}, onStatus = () => {} } = {}) {
      const partial = [];
      const onNotification = ({ method, params }) => {
        if (method !== "notifications/progress") return;
        const piece = params._meta?.[PARTIAL_KEY]?.text;
        if (piece) {
          partial.push(piece);
          onText(partial.join(""));
        } else if (params.message) {
          onStatus(params.message);
        }
      };
      const meta = { progressToken: `call-${lastRequest + 1}`, [PARTIAL_KEY]: true };
      return request("tools/call", { name, arguments: args, _meta: meta }, { signal, onNotification });
    },

    /** Return the first contents of a resource: `text` or `blob` with its `mimeType`. */
    async readResource(uri, options) {
      return (await request("resources/read", { uri }, options)).contents[0];
    },
  };
}
