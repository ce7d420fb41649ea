// What an answer consists of, whichever API the model speaks. Values in, values out; nothing here knows of the DOM.

const RECEIPT_KEY = "blaxel-mcp/call";
const ERROR_KEY = "blaxel-mcp/error";

/**
 * Return the parts of a tool result.
 *
 * - `texts`, `thoughts`: strings.
 * - `toolCalls`: `{name, arguments}`.
 * - `media`: `{kind, data, mimeType}`, where `data` is base64, and `kind` is image, audio or file.
 * - `links`: resources that were too large for the result.
 * - `vectors`: arrays of numbers.
 * - `scores`: `{label, index, score}`, the label undefined where only an index is given.
 * - `json`: the answer as JSON, undefined if it is none.
 * - `receipt`, `error`: as the server gives them; null if there is none.
 */
export function readAnswer(result) {
  const blocks = result.content ?? [];
  const blockTexts = blocks.filter((block) => block.type === "text").map((block) => block.text);
  const error = result.isError ? { message: blockTexts[0] ?? "", ...result._meta?.[ERROR_KEY] } : null;
  const json = error ? undefined : (result.structuredContent ?? parsed(blockTexts[0]));
  const parts = partsOf(json);
  const media = blocks.map(mediumOf).filter(Boolean);
  if (error) parts.texts = blockTexts.slice(1);
  else if (json === undefined && !media.length) parts.texts = blockTexts;
  return {
    ...parts,
    media,
    links: blocks.filter((block) => block.type === "resource_link"),
    json,
    receipt: result._meta?.[RECEIPT_KEY] ?? null,
    error,
  };
}

/** Return the parts of an answer's JSON. */
export function partsOf(json) {
  const parts = { texts: [], thoughts: [], toolCalls: [], vectors: vectorsOf(json), scores: scoresOf(json) };
  for (const choice of listOf(json?.choices)) readMessage(choice.message ?? choice, parts);
  for (const candidate of listOf(json?.candidates)) readBlocks(candidate.content?.parts, parts);
  for (const item of listOf(json?.output)) readBlocks(item.type === "message" ? item.content : [item], parts);
  if (json?.message) readMessage(json.message, parts);
  else if (!json?.choices) readMessage(json, parts);
  return parts;
}

function readMessage(message, parts) {
  if (typeof message?.content === "string" && message.content) parts.texts.push(message.content);
  else readBlocks(message?.content, parts);
  if (typeof message?.text === "string") parts.texts.push(message.text);
  for (const thought of [message?.reasoning_content, message?.reasoning, message?.tool_plan]) {
    if (typeof thought === "string" && thought) parts.thoughts.push(thought);
  }
  for (const call of listOf(message?.tool_calls)) addToolCall(call.function ?? call, parts);
}

function readBlocks(blocks, parts) {
  let text = "";
  for (const block of listOf(blocks)) {
    if (block.functionCall) addToolCall(block.functionCall, parts);
    else if (["tool_use", "function_call", "custom_tool_call"].includes(block.type)) addToolCall(block, parts);
    else if (block.thought === true || block.type === "thinking")
      parts.thoughts.push(block.thinking ?? block.text ?? "");
    else if (block.type === "reasoning") parts.thoughts.push(...listOf(block.summary).map((item) => item.text ?? ""));
    else if (typeof block.text === "string") text += block.text;
  }
  if (text) parts.texts.push(text);
}

function addToolCall(call, parts) {
  const given = call.arguments ?? call.input ?? call.args ?? {};
  parts.toolCalls.push({ name: String(call.name ?? ""), arguments: parsed(given) ?? given });
}

function vectorsOf(json) {
  const embeddings = json?.embeddings?.float ?? json?.embeddings;
  const listed = listOf(json?.data).map((item) => item.embedding);
  return [...listed, ...listOf(embeddings).map((item) => item?.values ?? item), json?.embedding?.values].filter(
    (vector) => Array.isArray(vector) && vector.length > 1 && vector.every(Number.isFinite),
  );
}

function scoresOf(json) {
  const results = Array.isArray(json) ? json.flat() : listOf(json?.results ?? json?.result);
  return results
    .map((item) => ({ label: item?.label ?? item?.document?.text, index: item?.index, score: scoreOf(item) }))
    .filter(({ score }) => Number.isFinite(score));
}

function scoreOf(item) {
  return item?.score ?? item?.relevance_score;
}

function mediumOf(block) {
  if (block.type === "image" || block.type === "audio") {
    return { kind: block.type, data: block.data, mimeType: block.mimeType };
  }
  if (block.type !== "resource" || !block.resource?.blob) return null;
  return { kind: "file", data: block.resource.blob, mimeType: block.resource.mimeType ?? "" };
}

function listOf(value) {
  return Array.isArray(value) ? value.filter((item) => item !== null && item !== undefined) : [];
}

function parsed(text) {
  if (typeof text !== "string") return undefined;
  try {
    const value = JSON.parse(text);
    return typeof value === "object" ? value : undefined;
  } catch {
    return undefined;
  }
}
