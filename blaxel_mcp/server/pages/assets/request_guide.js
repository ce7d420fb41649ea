// The request of a model's tool as the server describes it; the model is not called for that.

import { withoutFileContents } from "./snippets.js";

/** The longest URI of a request that is asked about: it is also sent as a header. */
const MAX_URI_CHARS = 16_000;

/** Return the server's description of a request, with `curl_problem` if there is none; null without a tool of its own. */
export async function requestGuide(client, model, args) {
  if (!model.uri) return null;
  const uri = `${model.uri}/request?arguments=${encodeURIComponent(JSON.stringify(withoutFileContents(args)))}`;
  if (uri.length > MAX_URI_CHARS)
    return { curl_problem: 'The request is too long to be shown here; the tab "MCP call" has its arguments.' };
  try {
    return JSON.parse((await client.readResource(uri)).text);
  } catch (error) {
    return { curl_problem: error.message };
  }
}
