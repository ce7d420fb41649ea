// Markdown as DOM nodes. A model's text is data: tags in it are shown as text, only http, https and mailto become
// links, and pictures are not loaded. Each pattern has a bounded length, so no text takes long.

import { element } from "./dom.js";

const MAX_MARKDOWN_CHARS = 100_000;
const MAX_PLAIN_CHARS = 1_000_000;
const MAX_NESTING = 6;
/** A longer line is never more than a paragraph: the patterns of whole lines would take long. */
const MAX_STRUCTURED_CHARS = 2000;

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]{0,30})/;
const HEADING = /^(#{1,6})\s+(.{1,1000}?)\s*#*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const ITEM = /^(\s{0,20})([-*+]|\d{1,9}[.)])\s+(.*)$/;
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*){0,50}\|?\s*$/;

/** Return the nodes of a text. A very long one is shown as it is. */
export function markdownNodes(text) {
  if (text.length <= MAX_MARKDOWN_CHARS) return blockNodes(text.split(/\r\n|\n|\r/), 0);
  const shown = text.slice(0, MAX_PLAIN_CHARS);
  const rest = text.length - shown.length;
  const note = rest
    ? element("p", { class: "hint" }, `${rest.toLocaleString("en")} more characters are not shown.`)
    : null;
  return [element("pre", { class: "plain", tabindex: "0" }, shown), ...(note ? [note] : [])];
}

function blockNodes(lines, depth) {
  const nodes = [];
  let at = 0;
  while (at < lines.length) {
    const block = lines[at].trim() ? blockAt(lines, at, depth) : { next: at + 1 };
    if (block.node) nodes.push(block.node);
    at = block.next;
  }
  return nodes;
}

function blockAt(lines, at, depth) {
  const line = lines[at];
  if (line.length > MAX_STRUCTURED_CHARS) return { node: element("p", {}, inlineNodes(line, 0)), next: at + 1 };
  if (FENCE.test(line)) return codeBlock(lines, at);
  const heading = HEADING.exec(line);
  if (heading) {
    // Below the page's own headings.
    const level = Math.min(heading[1].length + 3, 6);
    return { node: element(`h${level}`, {}, inlineNodes(heading[2], 0)), next: at + 1 };
  }
  if (RULE.test(line)) return { node: element("hr"), next: at + 1 };
  if (depth < MAX_NESTING && /^\s{0,3}>/.test(line)) return quote(lines, at, depth);
  if (depth < MAX_NESTING && ITEM.test(line)) return list(lines, at, depth);
  if (line.includes("|") && TABLE_RULE.test((lines[at + 1] ?? "").slice(0, MAX_STRUCTURED_CHARS)))
    return table(lines, at);
  return paragraph(lines, at);
}

function codeBlock(lines, at) {
  const [, fence, language] = FENCE.exec(lines[at]);
  const isEnd = (line) => line.trim().startsWith(fence) && !line.trim().replaceAll(fence[0], "");
  let end = at + 1;
  while (end < lines.length && !isEnd(lines[end])) end += 1;
  const code = element("code", {}, lines.slice(at + 1, end).join("\n"));
  const label = language ? `Code, ${language}` : "Code";
  return { node: element("pre", { tabindex: "0", role: "group", "aria-label": label }, code), next: end + 1 };
}

function quote(lines, at, depth) {
  let end = at;
  while (end < lines.length && /^\s{0,3}>/.test(lines[end])) end += 1;
  const inner = lines.slice(at, end).map((line) => line.replace(/^\s{0,3}> ?/, ""));
  return { node: element("blockquote", {}, blockNodes(inner, depth + 1)), next: end };
}

function list(lines, at, depth) {
  const [, indent, marker] = ITEM.exec(lines[at]);
  const isOrdered = /\d/.test(marker);
  const items = [];
  let end = at;
  while (end < lines.length) {
    const item = ITEM.exec(lines[end]);
    if (item && item[1].length <= indent.length) {
      if (/\d/.test(item[2]) !== isOrdered) break;
      items.push([item[3]]);
    } else if (/^\s{2,}\S/.test(lines[end])) {
      items.at(-1).push(lines[end].replace(/^ {2,4}/, ""));
    } else if (lines[end].trim() || !/^\s{2,}\S/.test(lines[end + 1] ?? "")) {
      break;
    } else {
      items.at(-1).push("");
    }
    end += 1;
  }
  const start = isOrdered && parseInt(marker, 10) !== 1 ? { start: parseInt(marker, 10) } : {};
  const children = items.map((inner) => element("li", {}, itemNodes(inner, depth + 1)));
  return { node: element(isOrdered ? "ol" : "ul", start, children), next: end };
}

function itemNodes(lines, depth) {
  return lines.length === 1 ? inlineNodes(lines[0], 0) : blockNodes(lines, depth);
}

function table(lines, at) {
  const cells = (line) =>
    line
      .trim()
      .replace(/^\||\|$/g, "")
      .split("|")
      .slice(0, 50);
  const row = (line, tag) =>
    element(
      "tr",
      {},
      cells(line).map((cell) => element(tag, {}, inlineNodes(cell.trim(), 0))),
    );
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  const body = lines.slice(at + 2, end).map((line) => row(line, "td"));
  const node = element("table", {}, element("thead", {}, row(lines[at], "th")), element("tbody", {}, body));
  return {
    node: element("div", { class: "scrolls", tabindex: "0", role: "group", "aria-label": "Table" }, node),
    next: end,
  };
}

function paragraph(lines, at) {
  let end = at + 1;
  const interrupts = (line) =>
    line.length > MAX_STRUCTURED_CHARS ||
    !line.trim() ||
    FENCE.test(line) ||
    HEADING.test(line) ||
    /^\s{0,3}>/.test(line) ||
    ITEM.test(line);
  while (end < lines.length && !interrupts(lines[end])) end += 1;
  return { node: element("p", {}, inlineNodes(lines.slice(at, end).join("\n"), 0)), next: end };
}

const INLINE = [
  [/\\([\\`*_{}[\]()#+.!|~>-])/y, (match) => match[1]],
  [/(`{1,3})([^`\n]{1,2000})\1(?!`)/y, (match) => element("code", {}, match[2])],
  [/!\[([^\]\n]{0,500})\]\(([^()\s]{1,2000})\)/y, (match) => `[picture: ${match[1] || match[2]}]`],
  [
    /\[([^[\]\n]{1,500})\]\(([^()\s]{1,2000}(?:\([^()\s]{0,200}\))?)\)/y,
    (match, depth) => link(match[2], match[1], depth),
  ],
  [/https?:\/\/[^\s<>"'`\])]{1,2000}/y, (match) => link(match[0], null, 0)],
  [/\*\*(?=\S)([^\n]{1,2000}?\S?)\*\*/y, (match, depth) => element("strong", {}, inlineNodes(match[1], depth + 1))],
  [/~~(?=\S)([^\n]{1,2000}?)~~/y, (match, depth) => element("del", {}, inlineNodes(match[1], depth + 1))],
  [/\*(?=[^\s*])([^*\n]{1,2000})\*/y, (match, depth) => element("em", {}, inlineNodes(match[1], depth + 1))],
  [
    /(?<![\w])_(?=[^\s_])([^_\n]{1,2000})_(?!\w)/y,
    (match, depth) => element("em", {}, inlineNodes(match[1], depth + 1)),
  ],
];

function inlineNodes(text, depth) {
  const nodes = [];
  let plain = "";
  let at = 0;
  const special = /[\\`!*_~[]|https?:\/\//g;
  while (at < text.length && depth < MAX_NESTING) {
    special.lastIndex = at;
    const next = special.exec(text);
    if (!next) break;
    plain += text.slice(at, next.index);
    const [node, end] = inlineAt(text, next.index, depth);
    if (typeof node === "string") plain += node;
    else {
      nodes.push(plain, node);
      plain = "";
    }
    at = end;
  }
  return [...nodes, plain + text.slice(at)].filter((node) => node !== "");
}

function inlineAt(text, at, depth) {
  for (const [pattern, make] of INLINE) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    // A pattern is shared with the nested calls of `make`: its end is taken first.
    if (match) return ((end) => [make(match, depth), end])(pattern.lastIndex);
  }
  return [text[at], at + 1];
}

function link(target, label, depth) {
  const url = URL.canParse(target) ? new URL(target) : null;
  const isSafe = url && ["http:", "https:", "mailto:"].includes(url.protocol);
  if (!isSafe) return label === null ? target : `${label} (${target})`;
  const shown = label === null ? [target] : inlineNodes(label, depth + 1).map(withoutLinks);
  const attributes = { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow", title: url.href };
  return element("a", attributes, shown);
}

function withoutLinks(node) {
  return node instanceof HTMLAnchorElement ? node.textContent : node;
}
