// One call of one model, shown in a column of its own while it runs and when it has ended.

import { readAnswer, partsOf } from "./answer.js";
import { answerNodes, growingNodes } from "./answer_view.js";
import { element } from "./dom.js";
import { seconds, usd } from "./figures.js";

/**
 * Start a call and return its `node`, `cancel()` and `ended`, a promise of a sentence on how it went.
 *
 * `client` is an MCP client, `model` is `{tool, name, api}`.
 */
export function startRun(client, model, args) {
  const started = performance.now();
  const abort = new AbortController();
  // A clock that is read aloud every second would be a nuisance: only the beginning and the end are.
  const status = element("p", { class: "status", "aria-hidden": "true" });
  const spoken = element("p", { class: "unseen", role: "status" });
  const body = element("div", { class: "body" });
  const name = model.api === "run_model" ? args.model : model.name;
  const node = element(
    "article",
    { "aria-label": `Answer of ${name}` },
    element("h3", { class: "name" }, name),
    status,
    spoken,
    body,
  );
  const elapsed = () => seconds(performance.now() - started);
  let [why, newest, isDrawn] = ["waiting", null, true];
  const clock = setInterval(() => (status.textContent = `${why}, ${elapsed()}`), 500);
  status.textContent = spoken.textContent = "waiting";

  function onText(text) {
    why = "answering";
    newest = text;
    if (!isDrawn) return;
    // At most once in each frame, however fast the text comes.
    isDrawn = false;
    requestAnimationFrame(() => {
      isDrawn = true;
      if (newest !== null) body.replaceChildren(...growingNodes(newest));
    });
  }

  async function showAnswer(result) {
    let answer = readAnswer(result);
    // The answer of a reranking names its documents by number.
    for (const score of answer.scores) score.label ??= args.documents?.[score.index] ?? `Document ${score.index}`;
    const onRead = (uri) => client.readResource(uri);
    const show = () => body.replaceChildren(...answerNodes(answer, { onLoadAll, onRead }));
    async function onLoadAll() {
      answer = await complete(client, answer);
      show();
    }
    // Vectors are summarized for agents; people want to see them.
    if (answer.receipt?.truncated && model.api === "embeddings")
      answer = await complete(client, answer).catch(() => answer);
    show();
    return answer;
  }

  async function work() {
    try {
      const onStatus = (sentence) => (why = sentence.replace(/^.*?: (\d+ s: )?/, ""));
      const result = await client.callTool(model.tool, args, { signal: abort.signal, onText, onStatus });
      newest = null;
      const { error, receipt } = await showAnswer(result);
      const cost = receipt?.cost_usd ? `, ${usd(receipt.cost_usd)}` : "";
      return error ? `failed: ${error.code ?? "error"}, ${elapsed()}` : `done in ${elapsed()}${cost}`;
    } catch (error) {
      newest = null;
      if (abort.signal.aborted) return `cancelled after ${elapsed()}; it may have been billed`;
      body.replaceChildren(
        ...answerNodes(readAnswer({ isError: true, content: [{ type: "text", text: error.message }] })),
      );
      return `failed, ${elapsed()}`;
    }
  }

  const ended = work().then((sentence) => {
    clearInterval(clock);
    status.textContent = spoken.textContent = sentence;
    node.dataset.state = sentence.split(/[ :,]/)[0];
    return sentence;
  });
  return { node, cancel: () => abort.abort(), ended };
}

/** Return an answer with all of its JSON or text, which the server keeps. */
export async function complete(client, answer) {
  const contents = await client.readResource(`blaxel://calls/${answer.receipt.call_id}`);
  const receipt = { ...answer.receipt, truncated: false };
  if (contents.mimeType !== "application/json") return { ...answer, texts: [contents.text ?? ""], receipt };
  const json = JSON.parse(contents.text);
  return { ...answer, ...partsOf(json), json, receipt };
}
