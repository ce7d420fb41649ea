// The requests of this page, newest first, each to look at and to send again.

import { button, element } from "./dom.js";

const MAX_ENTRIES = 50;
const MAX_TEXT_CHARS = 120;

/** Return the history: its `node`, and `add(entry)`, which returns `update(outcome)` for a sentence on how it ended. */
export function callHistory({ onShow, onAgain }) {
  const list = element("ol", { class: "history", reversed: true });
  const empty = element("p", { class: "hint" }, "Requests of this page appear here. Closing the page forgets them.");
  return {
    node: element("div", {}, empty, list),
    add(entry) {
      const outcome = element("span", { class: "outcome" }, "running");
      const name = entry.models.map((model) => model.name).join(" and ");
      const text = summary(entry.args);
      const shows = button(name, () => onShow(entry), {
        class: "plain",
        "aria-label": `Show the answer of ${name}: ${text}`,
      });
      const again = button("Send again", () => onAgain(entry), { "aria-label": `Send again to ${name}: ${text}` });
      list.prepend(
        element("li", {}, element("span", {}, shows, " ", outcome), element("span", { class: "summary" }, text), again),
      );
      while (list.children.length > MAX_ENTRIES) list.lastChild.remove();
      empty.hidden = true;
      return (sentence) => (outcome.textContent = sentence);
    },
  };
}

function summary(args) {
  const question = args.prompt ?? args.input ?? args.inputs ?? args.query ?? args;
  const text = typeof question === "string" ? question : JSON.stringify(question);
  return text.length > MAX_TEXT_CHARS ? `${text.slice(0, MAX_TEXT_CHARS)}...` : text;
}
