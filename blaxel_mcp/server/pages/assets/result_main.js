// The result app: the answer of one call in an MCP host, and the same call again with changes.

import { readAnswer } from "./answer.js";
import { answerNodes } from "./answer_view.js";
import { budgetNodes } from "./budget.js";
import { button, element } from "./dom.js";
import { hostConnection } from "./host_connection.js";
import { complete, startRun } from "./run.js";
import { schemaForm } from "./schema_form.js";
import { textPages, textPointer } from "./text_pages.js";

const HANDLE_WAIT_SECONDS = 40;

const byId = (id) => document.getElementById(id);
const config = JSON.parse(byId("config").textContent);
let toolInfo = null;
let input = null;

const host = hostConnection("blaxel-mcp-result", config, {
  "tool-input": (params) => {
    input = params.arguments ?? {};
    offerAgain();
  },
  "tool-result": showResult,
  "tool-cancelled": () => notice("The call was cancelled; it may have been billed."),
  "host-context-changed": useContext,
});

const patientClient = {
  ...host.client,
  callTool: async (tool, args, options) => finished(await host.client.callTool(tool, args, options), options),
};

function useContext(context) {
  // The colors are light-dark() pairs, so this changes all of them.
  if (context.theme) document.documentElement.style.colorScheme = context.theme;
  toolInfo = context.toolInfo ?? toolInfo;
}

async function showResult(result) {
  if (runningCall(result)) notice("The model is still working on its answer.");
  let answer;
  try {
    answer = readAnswer(await finished(result));
  } catch (error) {
    return notice(error.message);
  }
  notice("");
  const node = element("article", { "aria-label": "Answer" });
  const onRead = (uri) => host.client.readResource(uri);
  const onLoadAll = async () => {
    try {
      answer = await complete(host.client, answer);
      show();
    } catch (error) {
      notice(error.message);
    }
  };
  function show() {
    const pages = answer.receipt?.truncated && config.reader && !answer.error ? [pagesOf(answer)] : [];
    node.replaceChildren(...answerNodes(answer, { onLoadAll, onRead }), ...pages);
  }
  show();
  byId("answers").replaceChildren(node);
  offerFullScreen(node);
  await showBudget();
}

function runningCall(result) {
  const value = result.structuredContent;
  return value?.call_id && value.state === "running" ? value.call_id : null;
}

/** Return the result of a call, which is waited for if the server has returned a handle of it. */
async function finished(result, options) {
  let handle = runningCall(result);
  while (handle && config.reader) {
    const wait = { call_id: handle, wait_seconds: HANDLE_WAIT_SECONDS };
    result = await host.client.callTool(config.reader, wait, options);
    handle = runningCall(result);
  }
  return result;
}

function pagesOf({ json, receipt }) {
  const pointer = textPointer(json);
  return textPages((offset, length) => {
    const part = pointer === undefined ? {} : { pointer };
    return host.client.callTool(config.reader, { call_id: receipt.call_id, ...part, offset, length });
  });
}

function offerFullScreen(node) {
  if (!host.hasFullScreen()) return;
  const control = button("Full screen", () => host.fullScreen().catch((error) => notice(error.message)));
  node.prepend(element("div", { class: "tools" }, control));
}

function offerAgain() {
  if (!toolInfo?.tool?.inputSchema || !input) return;
  const { name, title, inputSchema } = toolInfo.tool;
  const form = schemaForm(inputSchema);
  byId("fields").replaceChildren(...form.nodes);
  form.fill(input);
  byId("again").hidden = false;
  // Not a form of HTML: hosts forbid those to submit anything.
  byId("send").onclick = () => {
    let args;
    try {
      args = form.read();
    } catch {
      return;
    }
    const run = startRun(patientClient, { tool: name, name: title ?? args.model ?? name, api: "" }, args);
    byId("answers").prepend(run.node);
    byId("send").disabled = true;
    byId("cancel").disabled = false;
    byId("cancel").onclick = run.cancel;
    run.ended.then(() => {
      byId("send").disabled = false;
      byId("cancel").disabled = true;
      return showBudget();
    });
  };
}

async function showBudget() {
  try {
    const usage = await host.client.readResource("blaxel://usage");
    byId("budget").replaceChildren(...budgetNodes(JSON.parse(usage.text)));
  } catch {
    byId("budget").replaceChildren();
  }
}

function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}

const sizes = new ResizeObserver(() => {
  const { width, height } = document.documentElement.getBoundingClientRect();
  host.notify("ui/notifications/size-changed", { width: Math.ceil(width), height: Math.ceil(height) });
});

try {
  const { hostContext } = await host.start();
  useContext(hostContext ?? {});
  sizes.observe(document.documentElement);
  offerAgain();
} catch (error) {
  notice(`The host does not show apps: ${error.message}`);
}
