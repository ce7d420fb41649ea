// The request as a command or a program: tabs with a text to copy.

import { copyButton, element, uniqueId } from "./dom.js";

const TITLES = ["curl", "bl run", "Python", "MCP call", "MCP client"];

/** Return the tabs: their `node`, and `show(texts)`, which takes a text for each title. */
export function snippetTabs() {
  const base = uniqueId("snippet");
  let shown = {};
  let current = TITLES[0];
  const panel = element("pre", { id: `${base}-panel`, role: "tabpanel", tabindex: "0" });
  const tabs = TITLES.map((title, index) =>
    element(
      "button",
      {
        type: "button",
        role: "tab",
        id: `${base}-${index}`,
        "aria-controls": panel.id,
        on: { click: () => select(index) },
      },
      title,
    ),
  );
  const bar = element("div", { role: "tablist", "aria-label": "Formats", on: { keydown: move } }, tabs);

  function select(index) {
    current = TITLES[index];
    tabs.forEach((tab, at) => {
      tab.setAttribute("aria-selected", String(at === index));
      tab.tabIndex = at === index ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", tabs[index].id);
    panel.textContent = shown[current] ?? "";
  }

  function move(event) {
    const at = TITLES.indexOf(current);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + TITLES.length, Home: 0, End: TITLES.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    select(to % TITLES.length);
    tabs[to % TITLES.length].focus();
  }

  select(0);
  const copy = element(
    "div",
    { class: "tools" },
    copyButton(() => panel.textContent),
  );
  return {
    node: element("div", {}, bar, panel, copy),
    show(texts) {
      shown = texts;
      panel.textContent = shown[current] ?? "";
    },
  };
}

/** Return the texts to show for a request of a model's tool. `request` is the server's description of it, or null. */
export function snippetTexts(tool, args, request, clientEntry) {
  const problem = request?.curl_problem ?? "This is shown for models with a tool of their own.";
  return {
    curl: request?.curl ?? problem,
    "bl run": request?.bl ?? (request?.curl ? "`bl run model` cannot send this request." : problem),
    Python: request?.python ?? (request?.curl ? "Python sends this request as curl does, with `files=`." : problem),
    "MCP call": JSON.stringify({ method: "tools/call", params: { name: tool, arguments: args } }, null, 2),
    "MCP client": JSON.stringify(clientEntry, null, 2),
  };
}

/** Return arguments that fit into a URI: a file's content is left out of a data: URL. */
export function withoutFileContents(value) {
  if (typeof value === "string") return value.replace(/^(data:[\w.+/-]{0,100}(?:;[\w=.-]{0,100}){0,3}),.*$/s, "$1,...");
  if (Array.isArray(value)) return value.map(withoutFileContents);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withoutFileContents(inner)]));
}
