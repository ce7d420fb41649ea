// The page: it exchanges the token of its link for a session, then connects the parts.

import { budgetNodes } from "./budget.js";
import { callHistory } from "./call_history.js";
import { httpTransport } from "./http_transport.js";
import { mcpClient } from "./mcp_client.js";
import { argumentsFor, listingNotes, loadModels, loadSchema } from "./models.js";
import { modelList } from "./model_list.js";
import { startRun } from "./run.js";
import { schemaForm } from "./schema_form.js";
import { openSession } from "./session.js";
import { snippetTabs, snippetTexts, withoutFileContents } from "./snippets.js";

const SNIPPET_DELAY_MS = 300;
/** The longest URI of a request that is asked about: it is also sent as a header. */
const MAX_URI_CHARS = 16_000;

const byId = (id) => document.getElementById(id);

async function connectPage(client, about, models) {
  const tabs = snippetTabs();
  const choices = modelList(models, changeModel);
  const past = callHistory({ onShow: (entry) => byId("answers").replaceChildren(...entry.nodes), onAgain: sendAgain });
  let [form, shownModel, running, snippetTimer, newestSnippet] = [null, null, [], null, 0];
  /** Settled when the form is that of the chosen model. */
  let ready = Promise.resolve();
  let isBusy = false;

  function changeModel() {
    ready = showForm(choices.selected());
    ready.then(scheduleSnippets, showNotice);
  }

  async function showForm(model) {
    if (model === shownModel) return;
    await loadSchema(client, model);
    if (model !== choices.selected()) return;
    const args = form?.peek();
    form = schemaForm(model.schema);
    byId("fields").replaceChildren(...form.nodes);
    if (args) form.fill(argumentsFor(model, shownModel, args));
    shownModel = model;
  }

  function scheduleSnippets() {
    clearTimeout(snippetTimer);
    snippetTimer = setTimeout(showSnippets, SNIPPET_DELAY_MS);
  }

  async function showSnippets() {
    newestSnippet += 1;
    const number = newestSnippet;
    const model = shownModel;
    const args = withoutFileContents(form.peek());
    const uri = model.uri && `${model.uri}/request?arguments=${encodeURIComponent(JSON.stringify(args))}`;
    let request = null;
    if (uri && uri.length <= MAX_URI_CHARS) {
      request = await client.readResource(uri).then(
        ({ text }) => JSON.parse(text),
        (error) => ({ curl_problem: error.message }),
      );
    } else if (uri) {
      request = { curl_problem: 'The request is too long to be shown here; the tab "MCP call" has its arguments.' };
    }
    if (number === newestSnippet) tabs.show(snippetTexts(model.tool, args, request, about.client_entry));
  }

  async function send(args) {
    const first = choices.selected();
    const chosen = [first, choices.compared()].filter(Boolean);
    await Promise.all(chosen.map((model) => loadSchema(client, model)));
    running = chosen.map((model) => startRun(client, model, argumentsFor(model, first, args)));
    const entry = { models: chosen, args, nodes: running.map((run) => run.node) };
    byId("answers").replaceChildren(...entry.nodes);
    setRunning(true);
    const update = past.add(entry);
    const sentences = await Promise.all(running.map((run) => run.ended));
    update(sentences.join("; "));
    setRunning(false);
    await showBudget();
  }

  function setRunning(isRunning) {
    const [off, on] = isRunning ? [byId("send"), byId("cancel")] : [byId("cancel"), byId("send")];
    const hadFocus = document.activeElement === off;
    on.disabled = false;
    // A button that is switched off loses the focus.
    if (hadFocus) on.focus();
    off.disabled = true;
    if (!isRunning) running = [];
  }

  async function showBudget() {
    const report = JSON.parse((await client.readResource("blaxel://usage")).text);
    byId("budget").replaceChildren(...budgetNodes(report));
  }

  async function submit(event) {
    event?.preventDefault();
    if (isBusy) return;
    isBusy = true;
    try {
      await ready;
      const args = readFields();
      if (args) await send(args);
    } catch (error) {
      showNotice(error);
    } finally {
      isBusy = false;
    }
  }

  function readFields() {
    try {
      return form.read();
    } catch {
      return null; // The form shows the problem at its field.
    }
  }

  async function sendAgain(entry) {
    if (isBusy) return;
    choices.select(entry.models[0].tool, entry.models[1]?.tool);
    await ready;
    form.fill(entry.args);
    await submit();
  }

  byId("form").addEventListener("submit", submit);
  byId("form").addEventListener("input", scheduleSnippets);
  byId("cancel").addEventListener("click", () => running.forEach((run) => run.cancel()));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
  });
  byId("models").replaceChildren(choices.node);
  byId("snippets").replaceChildren(tabs.node);
  byId("history").replaceChildren(past.node);
  byId("workspace").textContent = about.demo
    ? "demo: an emulator on this machine, nothing is billed"
    : `workspace ${about.workspace ?? "not set"}`;
  choices.select((models.find((model) => model.api.includes("chat")) ?? models[0]).tool);
  await ready;
  byId("main").hidden = false;
  await showBudget();
}

function showNotice({ message }) {
  byId("notice").textContent = message;
  byId("notice").hidden = false;
}

async function start() {
  const { secret, about } = await openSession();
  const client = mcpClient(httpTransport(secret));
  const models = await loadModels(client, about.prefix);
  if (!models.length) throw new Error("The workspace has no models. `blaxel-mcp doctor` finds out why.");
  await connectPage(client, about, models);
  const notes = await listingNotes(client, `${about.prefix}list_models`).catch(() => []);
  if (notes.length) showNotice({ message: notes.join(" ") });
}

start().catch(showNotice);
