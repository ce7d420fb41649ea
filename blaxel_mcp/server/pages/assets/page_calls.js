// The calls of the page: one request at a time, to one model or to two.

import { argumentsFor, loadSchema } from "./models.js";
import { startRun } from "./run.js";

/** Return `send(models, args)` and `cancel()`. The arguments are the first model's; `onRunning` gets true, then false. */
export function pageCalls(client, { past, onNodes, onRunning }) {
  let running = [];
  return {
    async send(models, args) {
      await Promise.all(models.map((model) => loadSchema(client, model)));
      running = models.map((model) => startRun(client, model, argumentsFor(model, models[0], args)));
      const entry = { models, args, nodes: running.map((run) => run.node) };
      onNodes(entry.nodes);
      onRunning(true);
      const update = past.add(entry);
      const sentences = await Promise.all(running.map((run) => run.ended));
      update(sentences.join("; "));
      running = [];
      onRunning(false);
    },
    cancel: () => running.forEach((run) => run.cancel()),
  };
}

/** Return a function that runs an action unless another one is running; `onError` gets the error of one that fails. */
export function oneAtATime(onError) {
  let isBusy = false;
  return async (action) => {
    if (isBusy) return;
    isBusy = true;
    try {
      await action();
    } catch (error) {
      onError(error);
    } finally {
      isBusy = false;
    }
  };
}
