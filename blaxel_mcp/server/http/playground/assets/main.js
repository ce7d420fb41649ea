// The page: it exchanges the token of its link for a session, then connects the parts.

import { budgetNodes } from "./budget.js";
import { callHistory } from "./call_history.js";
import { httpTransport } from "./http_transport.js";
import { mcpClient } from "./mcp_client.js";
import { modelList } from "./model_list.js";
import { startRun } from "./run.js";
import { schemaForm } from "./schema_form.js";
import { snippetTabs, snippetTexts, withoutFileContents } from "./snippets.js";

const SNIPPET_DELAY_MS = 300;
/** The longest URI of a request that is asked about: it is also sent as a header. */
const MAX_URI_CHARS = 16_000;

const byId = (id) => document.getElementById(id);

/** Return the secret of this page and what the server says of itself. */
async function openSession() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  // Neither the history nor a screenshot should have it.
  history.replaceState(null, "", location.pathname);
  if (!token) throw new Error("This page has no session: reloading it ends it. Press Enter in the terminal of `blaxel-mcp playground` for a new link.");
  const body = JSON.stringify({ token });
  const response = await fetch("/session", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error_description);
  return answer;
}

/** Return the models that have a tool, each with its schema, and the tool for any other model. */
async function loadModels(client, prefix) {
  const [tools, guide] = await Promise.all([client.listTools(), client.readResource("blaxel://models")]);
  const schemas = new Map(tools.map((tool) => [tool.name, tool]));
  const models = JSON.parse(guide.text)
    .models.filter((model) => schemas.has(model.tool))
    .map((model) => ({ ...model, schema: schemas.get(model.tool).inputSchema }));
  const any = schemas.get(`${prefix}run_model`);
  const description = "Any model, at any path, with any JSON body.";
  if (any) models.push({ name: "Any other model", tool: any.name, api: "run_model", description, schema: any.inputSchema, uri: null });
  return models;
}

/** Return the arguments that another model can take: those that both schemas type alike, or all if it has the same API. */
function argumentsFor(model, first, args) {
  if (model.api === first.api) return args;
  const typeIn = ({ schema }, name) => schema.properties?.[name]?.type;
  const isShared = (name) => typeIn(model, name) && String(typeIn(model, name)) === String(typeIn(first, name));
  return Object.fromEntries(Object.entries(args).filter(([name]) => isShared(name)));
}

function connectPage(client, about, models) {
  const tabs = snippetTabs();
  const choices = modelList(models, changeModel);
  const past = callHistory({ onShow: (entry) => byId("answers").replaceChildren(...entry.nodes), onAgain: sendAgain });
  let [form, shownModel, running, snippetTimer, newestSnippet] = [null, null, [], null, 0];

  function changeModel() {
    const model = choices.selected();
    if (model === shownModel) return scheduleSnippets();
    const args = form?.peek();
    form = schemaForm(model.schema);
    byId("fields").replaceChildren(...form.nodes);
    if (args) form.fill(argumentsFor(model, shownModel, args));
    shownModel = model;
    scheduleSnippets();
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
      request = await client.readResource(uri).then(({ text }) => JSON.parse(text), (error) => ({ curl_problem: error.message }));
    } else if (uri) {
      request = { curl_problem: "The request is too long to be shown here; the tab \"MCP call\" has its arguments." };
    }
    if (number === newestSnippet) tabs.show(snippetTexts(model.tool, args, request, about.client_entry));
  }

  async function send(args) {
    const first = choices.selected();
    const chosen = [first, choices.compared()].filter(Boolean);
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

  function submit(event) {
    event?.preventDefault();
    if (running.length) return;
    let args;
    try {
      args = form.read();
    } catch {
      return; // The form shows the problem at its field.
    }
    send(args).catch(showNotice);
  }

  function sendAgain(entry) {
    if (running.length) return;
    choices.select(entry.models[0].tool, entry.models[1]?.tool);
    form.fill(entry.args);
    submit();
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
  byId("workspace").textContent = about.demo ? "demo: an emulator on this machine, nothing is billed" : `workspace ${about.workspace ?? "not set"}`;
  if (models.length) choices.select((models.find((model) => model.api.includes("chat")) ?? models[0]).tool);
  byId("main").hidden = !models.length;
  return showBudget();
}

/** Return what keeps the server from listing the workspace's models, as sentences. */
async function listingNotes(client, tool) {
  const result = await client.callTool(tool, {});
  return result.structuredContent?.notes ?? [];
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
