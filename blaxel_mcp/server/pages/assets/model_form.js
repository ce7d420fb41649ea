// The form of the chosen model; what it has in common with the one before stays filled in.

import { argumentsFor, loadSchema } from "./models.js";
import { schemaForm } from "./schema_form.js";

/** Return the form in `container`. `show(selected)` changes it to the model that `selected()` returns then and later. */
export function modelForm(client, container) {
  let [form, model, ready] = [null, null, Promise.resolve()];

  async function change(selected) {
    const wanted = selected();
    if (wanted === model) return;
    await loadSchema(client, wanted);
    // Another one was chosen meanwhile.
    if (wanted !== selected()) return;
    const args = form?.peek();
    form = schemaForm(wanted.schema);
    container.replaceChildren(...form.nodes);
    if (args) form.fill(argumentsFor(wanted, model, args));
    model = wanted;
  }

  return {
    model: () => model,
    ready: () => ready,
    peek: () => form.peek(),
    show: (selected) => (ready = change(selected)),
    async fill(args) {
      await ready;
      form.fill(args);
    },
    /** Return the arguments; null if one is wrong, which the form shows at its field. */
    async read() {
      await ready;
      try {
        return form.read();
      } catch {
        return null;
      }
    },
  };
}
