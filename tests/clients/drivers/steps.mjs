// What a test asks of an SDK's client, one JSON object on each line of stdin, and what came of it on stdout.
// `driving.py` writes the lines. The SDK's two versions differ in how a client is made and in how it calls a tool.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

/** What the test says on the command line: the folder that the packages are in, the server, and the era. */
export function given() {
  const [folder, server, era] = process.argv.slice(2);
  return { load: createRequire(`${folder}/`), server: JSON.parse(server), era };
}

/**
 * Take the steps that come on stdin until there are no more.
 *
 * @param client A client that is connected.
 * @param callTool Calls a tool of it, by parameters and the SDK's options of a request.
 */
export async function take(client, callTool) {
  const calls = new Map();
  for await (const line of createInterface({ input: process.stdin })) {
    const { step, ...given } = JSON.parse(line);
    let outcome;
    try {
      outcome = await STEPS[step]({ client, callTool, calls }, given);
    } catch (error) {
      outcome = { raised: `${error.name}: ${error.message}` };
    }
    process.stdout.write(`${JSON.stringify(outcome)}\n`);
  }
  await client.close();
}

const STEPS = {
  hello: ({ client }) => ({
    serverInfo: client.getServerVersion(),
    instructions: client.getInstructions(),
    // The first version does not tell.
    protocolVersion: client.getNegotiatedProtocolVersion?.() ?? "2025-11-25",
  }),
  list: ({ client }) => client.listTools(),
  read: ({ client }, { uri }) => client.readResource({ uri }),
  call: ({ callTool }, call) => callTool(call, {}),
  async progress({ callTool }, call) {
    const progress = [];
    const result = await callTool(call, { onprogress: (told) => progress.push(told) });
    return { ...result, progress };
  },
  start({ callTool, calls }, call) {
    const stop = new AbortController();
    const ending = callTool(call, { signal: stop.signal });
    // It is looked at when the call is cancelled; until then an early end of it is nobody's unhandled failure.
    ending.catch(() => undefined);
    calls.set(call.name, { stop, ending });
    return {};
  },
  cancel({ calls }, { name }) {
    const { stop, ending } = calls.get(name);
    stop.abort("no longer wanted");
    return ending;
  },
};
