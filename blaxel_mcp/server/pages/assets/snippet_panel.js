// The tabs with the request in other formats, which follow the form.

import { requestGuide } from "./request_guide.js";
import { snippetTabs, snippetTexts, withoutFileContents } from "./snippets.js";

const DELAY_MS = 300;

/** Return the panel of a form: its `node`, and `schedule()`, to be called when the form has changed. */
export function snippetPanel(client, clientEntry, form) {
  const tabs = snippetTabs();
  let [timer, newest] = [null, 0];

  async function update() {
    newest += 1;
    const [number, model, args] = [newest, form.model(), withoutFileContents(form.peek())];
    const request = await requestGuide(client, model, args);
    if (number === newest) tabs.show(snippetTexts(model.tool, args, request, clientEntry));
  }

  return {
    node: tabs.node,
    schedule() {
      clearTimeout(timer);
      timer = setTimeout(update, DELAY_MS);
    },
  };
}
