// A long text of an answer, read page by page from the server that keeps it.

import { button, element } from "./dom.js";

const PART_KEY = "blaxel-mcp/part";
const PAGE_CHARS = 20_000;

/** Return the node that pages through a text. `read(offset, length)` returns a result of the tool `read_result`. */
export function textPages(read) {
  const starts = [0];
  const text = element("pre", { class: "plain", tabindex: "0", role: "group", "aria-label": "A page of the text" });
  const position = element("span", { role: "status" });
  const previous = button("Previous page", () => show(starts.at(-2), () => starts.pop()), { disabled: true });
  const next = button("Next page", () => show(next.offset, () => starts.push(next.offset)), { disabled: true });
  const open = button("Read the whole text", () => show(0, () => open.remove()));
  const pages = element("div", { hidden: true }, text, element("div", { class: "tools" }, position, previous, next));

  async function show(offset, onShown) {
    previous.disabled = next.disabled = open.disabled = true;
    try {
      const result = await read(offset, PAGE_CHARS);
      if (result.isError) throw new Error(result.content[0]?.text ?? "The text could not be read.");
      const part = result._meta[PART_KEY];
      text.textContent = result.content[0].text;
      text.scrollTop = 0;
      onShown();
      const [from, to] = [part.offset + 1, part.offset + part.length].map((count) => count.toLocaleString("en"));
      position.textContent = `${part.unit} ${from} to ${to} of ${part.total.toLocaleString("en")}`;
      next.offset = part.next_offset;
    } catch (error) {
      position.textContent = error.message;
    }
    pages.hidden = false;
    open.disabled = false;
    previous.disabled = starts.length < 2;
    next.disabled = (next.offset ?? null) === null;
  }

  return element("div", { class: "pages" }, open, pages);
}

/** Return the JSON Pointer of the first text that the model wrote in an answer's JSON; undefined without one. */
export function textPointer(json) {
  const places = [
    ["choices", 0, "message", "content"],
    ["choices", 0, "text"],
    ...indexes(json?.content).map((index) => ["content", index, "text"]),
    ...indexes(json?.message?.content).map((index) => ["message", "content", index, "text"]),
    ...indexes(json?.candidates?.[0]?.content?.parts).map((index) => ["candidates", 0, "content", "parts", index, "text"]),
    ...indexes(json?.output).flatMap((item) =>
      indexes(json.output[item].content).map((index) => ["output", item, "content", index, "text"]),
    ),
    ["text"],
  ];
  const found = places.find((place) => typeof place.reduce((value, step) => value?.[step], json) === "string");
  return found ? `/${found.join("/")}` : undefined;
}

function indexes(list) {
  return Array.isArray(list) ? [...list.keys()] : [];
}
