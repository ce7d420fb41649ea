// The page: it exchanges the token of its link for a session, then connects the parts.

import { budgetNodes } from "./budget.js";
import { callHistory } from "./call_history.js";
import { dryRun } from "./dry_run.js";
import { httpTransport } from "./http_transport.js";
import { mcpClient } from "./mcp_client.js";
import { modelForm } from "./model_form.js";
import { modelList } from "./model_list.js";
import { listingNotes, loadModels } from "./models.js";
import { oneAtATime, pageCalls } from "./page_calls.js";
import { openSession } from "./session.js";
import { snippetPanel } from "./snippet_panel.js";

const byId = (id) => document.getElementById(id);

async function connectPage(client, about, models) {
  const form = modelForm(client, byId("fields"));
  const snippets = snippetPanel(client, about.client_entry, form);
  const choices = modelList(models, () => form.show(choices.selected).then(snippets.schedule, showNotice));
  const past = callHistory({ onShow: (entry) => showAnswers(entry.nodes), onAgain: sendAgain });
  const calls = pageCalls(client, { past, onNodes: showAnswers, onRunning: switchButtons });
  const alone = oneAtATime(showNotice);
  const anyModel = models.find((model) => model.api === "run_model");

  async function send() {
    const args = await form.read();
    if (!args) return;
    await calls.send([choices.selected(), choices.compared()].filter(Boolean), args);
    await showBudget(client);
  }

  function sendAgain(entry) {
    alone(async () => {
      choices.select(entry.models[0].tool, entry.models[1]?.tool);
      await form.fill(entry.args);
      await send();
    });
  }

  async function tryDry() {
    const args = await form.read();
    if (args) showAnswers([await dryRun(client, anyModel.tool, form.model(), args)]);
  }

  listen({
    onSend: () => alone(send),
    onDryRun: () => alone(tryDry),
    onCancel: calls.cancel,
    onInput: snippets.schedule,
  });
  byId("dry-run").hidden = !anyModel;
  byId("models").replaceChildren(choices.node);
  byId("snippets").replaceChildren(snippets.node);
  byId("history").replaceChildren(past.node);
  byId("workspace").textContent = workspaceText(about);
  choices.select((models.find((model) => model.api.includes("chat")) ?? models[0]).tool);
  await form.ready();
  byId("main").hidden = false;
  await showBudget(client);
}

function listen({ onSend, onDryRun, onCancel, onInput }) {
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    onSend();
  });
  byId("form").addEventListener("input", onInput);
  byId("dry-run").addEventListener("click", onDryRun);
  byId("cancel").addEventListener("click", onCancel);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    onSend();
  });
}

function workspaceText({ demo, workspace }) {
  return demo ? "demo: an emulator on this machine, nothing is billed" : `workspace ${workspace ?? "not set"}`;
}

function showAnswers(nodes) {
  byId("answers").replaceChildren(...nodes);
}

function switchButtons(isRunning) {
  const [off, on] = isRunning ? [byId("send"), byId("cancel")] : [byId("cancel"), byId("send")];
  const hadFocus = document.activeElement === off;
  on.disabled = false;
  // A button that is switched off loses the focus.
  if (hadFocus) on.focus();
  off.disabled = true;
  byId("dry-run").disabled = isRunning;
}

async function showBudget(client) {
  const report = JSON.parse((await client.readResource("blaxel://usage")).text);
  byId("budget").replaceChildren(...budgetNodes(report));
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
