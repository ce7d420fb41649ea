// An answer as DOM nodes. It takes what `readAnswer` returns, however that came here: it asks for nothing itself.

import { button, copyButton, element } from "./dom.js";
import { counted, duration, seconds, usd } from "./figures.js";
import { markdownNodes } from "./markdown.js";
import { vectorNodes } from "./vectors.js";

const PICTURE_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];
const MAX_JSON_CHARS = 200_000;
const MAX_SCORES = 50;

/**
 * Return the nodes of an answer. `onLoadAll`, if given, is offered where the answer is not complete; `onRead`, which
 * returns the contents of a resource, where something was too large for the result.
 */
export function answerNodes(answer, { onLoadAll = null, onRead = null } = {}) {
  const { texts, thoughts, toolCalls, media, links, vectors, scores, json, receipt, error } = answer;
  const hasParts = [texts, toolCalls, media, links, vectors, scores].some((part) => part.length);
  const loadAll = receipt?.truncated && onLoadAll ? button("Load the whole answer", onLoadAll) : null;
  return [
    error ? errorNode(error) : null,
    ...thoughts.filter(Boolean).map((text) => folded("Reasoning", markdownNodes(text))),
    ...texts.flatMap((text, index) => textNodes(text, index, texts.length)),
    ...toolCalls.map(toolCallNode),
    ...media.map(mediumNode),
    ...links.map((each, index) => linkNode(each, media.length + index, onRead)),
    ...vectorNodes(vectors),
    scores.length ? scoreTable(scores) : null,
    hasParts || error || json === undefined ? null : jsonNode(json),
    loadAll,
    hasParts && json !== undefined ? folded("JSON", [jsonNode(json)]) : null,
    receipt ? receiptNode(receipt) : null,
  ].filter(Boolean);
}

/** Return the nodes of a text that is still growing. */
export function growingNodes(text) {
  return [
    element(
      "div",
      { class: "text growing" },
      text.length > 20_000 ? element("pre", { class: "plain" }, text) : markdownNodes(text),
    ),
  ];
}

function textNodes(text, index, count) {
  const title = count > 1 ? element("h3", {}, `Choice ${index + 1}`) : null;
  const copy = element(
    "div",
    { class: "tools" },
    copyButton(() => text, "Copy text"),
  );
  return [title, element("div", { class: "text", dir: "auto" }, markdownNodes(text)), copy].filter(Boolean);
}

function errorNode(error) {
  const facts = {
    Code: error.code,
    Origin: error.origin,
    Billed: error.billed,
    Retry: error.retryable ? (error.retry_after_seconds ? `in ${duration(error.retry_after_seconds)}` : "yes") : null,
    Status: error.status,
    "Request id": error.request_id,
  };
  const message = element("p", {}, element("strong", {}, error.message));
  return element("div", { class: "error" }, message, error.hint ? element("p", {}, error.hint) : null, factList(facts));
}

function toolCallNode({ name, arguments: given }) {
  const text = typeof given === "string" ? given : JSON.stringify(given, null, 2);
  const title = element("h3", {}, "Calls the tool ", element("code", {}, name));
  return element("div", { class: "card" }, title, element("pre", { tabindex: "0" }, text));
}

function mediumNode({ kind, data, mimeType }, index) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  // A browser must never take what a model made for a page: anything but a picture or a sound is bytes.
  const isShown = PICTURE_TYPES.includes(mimeType) || kind === "audio";
  const url = URL.createObjectURL(new Blob([bytes], { type: isShown ? mimeType : "application/octet-stream" }));
  // A host of apps allows no other source of pictures and sounds than `data:` (MCP Apps, restrictive default).
  const source = `data:${mimeType.split(";")[0]};base64,${data}`;
  const size = `${mimeType || "file"}, ${counted(bytes.length, "byte")}`;
  const name = `answer-${index + 1}.${(mimeType.split("/")[1] ?? "bin").replace(/[^a-z0-9]/g, "")}`;
  const save = element("a", { href: url, download: name }, `Save ${name}`);
  let shown = null;
  if (PICTURE_TYPES.includes(mimeType)) shown = element("img", { src: source, alt: `Picture ${index + 1} of the answer` });
  else if (kind === "audio")
    shown = element("audio", { src: source, controls: true, "aria-label": `Sound ${index + 1} of the answer` });
  const zoom = shown?.tagName === "IMG" ? zoomButton(shown) : null;
  return element("figure", {}, shown, element("figcaption", {}, `${size}. `, save, zoom));
}

function zoomButton(picture) {
  const control = button("Full size", () => {
    control.setAttribute("aria-pressed", picture.classList.toggle("full"));
  });
  control.setAttribute("aria-pressed", "false");
  return control;
}

function linkNode({ name, mimeType, uri }, index, onRead) {
  const node = element("p", {}, `${name} (${mimeType ?? "a file"}): ${uri} `);
  if (!onRead) return node;
  const control = button("Show", async () => {
    control.disabled = true;
    try {
      const contents = await onRead(uri);
      const type = contents.mimeType ?? mimeType ?? "";
      const kind = type.startsWith("audio/") ? "audio" : "file";
      node.replaceWith(mediumNode({ kind, data: contents.blob, mimeType: type }, index));
    } catch (error) {
      node.append(element("small", { class: "problem", role: "alert" }, error.message));
    }
  });
  node.append(control);
  return node;
}

function scoreTable(scores) {
  const rows = scores
    .slice(0, MAX_SCORES)
    .map(({ label, score }) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, String(label)),
        element("td", {}, element("meter", { min: 0, max: 1, value: score, "aria-label": `Score of ${label}` })),
        element("td", {}, score.toFixed(3)),
      ),
    );
  return element("table", { class: "figures" }, element("caption", {}, "Scores"), element("tbody", {}, rows));
}

function jsonNode(json) {
  const text = JSON.stringify(json, null, 2);
  const shown = text.length > MAX_JSON_CHARS ? `${text.slice(0, MAX_JSON_CHARS)}\n... truncated` : text;
  return element("pre", { tabindex: "0", role: "group", "aria-label": "The answer as JSON" }, shown);
}

function receiptNode(receipt) {
  const { usage } = receipt;
  const tokens = usage
    ? `${usage.input_tokens ?? "?"} in, ${usage.output_tokens ?? 0} out${usage.estimated ? " (estimated)" : ""}`
    : null;
  const facts = {
    Cost: receipt.cost_usd === null || receipt.cost_usd === undefined ? "unknown" : usd(receipt.cost_usd),
    Time: seconds(receipt.elapsed_ms),
    Tokens: tokens,
    "First byte": receipt.first_byte_ms === null ? null : seconds(receipt.first_byte_ms),
    Status: receipt.status,
    Attempts: receipt.attempts > 1 ? receipt.attempts : null,
    "Price from": receipt.price_source,
    "Request id": receipt.request_id,
    "Call id": receipt.call_id,
  };
  const sentences = [...(receipt.repairs ?? []), ...(receipt.notes ?? [])];
  const notes = sentences.length
    ? element(
        "ul",
        { class: "notes" },
        sentences.map((text) => element("li", {}, text)),
      )
    : null;
  return element("div", { class: "receipt" }, element("h3", {}, "Receipt"), factList(facts), notes);
}

/** Return a list of facts by their names; those without a value are left out. */
export function factList(facts) {
  const known = Object.entries(facts).filter(([, value]) => value !== null && value !== undefined);
  return element(
    "dl",
    {},
    known.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, String(value)))),
  );
}

function folded(title, nodes) {
  return element("details", { class: "more" }, element("summary", {}, title), nodes);
}
