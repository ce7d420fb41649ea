// A dry run: the exact request, its estimate and its effect on the budget. The model is not called.

import { readAnswer } from "./answer.js";
import { answerNodes, factList } from "./answer_view.js";
import { copyButton, element } from "./dom.js";
import { counted, usd } from "./figures.js";
import { requestGuide } from "./request_guide.js";

/** Return the node of a dry run. `tool` is the name of the tool for any model, whose arguments describe the request. */
export async function dryRun(client, tool, model, args) {
  let result;
  try {
    const request = model.uri ? await requestOf(client, model, args) : args;
    result = await client.callTool(tool, { ...request, dry_run: true });
  } catch (error) {
    result = { isError: true, content: [{ type: "text", text: error.message }] };
  }
  const nodes = result.isError ? answerNodes(readAnswer(result)) : reportNodes(result.structuredContent);
  const title = `Dry run of ${model.uri ? model.name : args.model}`;
  return element("article", { "aria-label": title, "data-state": "dry-run" }, element("h3", {}, title), nodes);
}

async function requestOf(client, model, args) {
  const guide = await requestGuide(client, model, args);
  if (guide.example_body === undefined)
    throw new Error(guide.curl_problem ?? "There is no dry run of a request that sends a file.");
  // The end of the URI is the name that is unique among all workspaces.
  return { model: decodeURIComponent(model.uri.split("/").at(-1)), data: guide.example_body };
}

function reportNodes({ request, estimate, budget, refused, notes }) {
  const facts = {
    Tokens: `${estimate.input_tokens.toLocaleString("en")} in, at most ${estimate.output_tokens.toLocaleString("en")} out`,
    Cost: estimate.cost_usd === null ? "unknown" : `at most ${usd(estimate.cost_usd)}`,
    "Price from": estimate.price_source,
    ...budgetFacts(budget, estimate),
  };
  const body = typeof request.body === "string" ? request.body : JSON.stringify(request.body, null, 2);
  const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`);
  const text = [`${request.method} ${request.url}`, ...headers, "", body].join("\n");
  return [
    element("p", { class: "status", role: "status" }, "Nothing was sent to the model."),
    refused ? element("div", { class: "error" }, `The budget refuses this call: ${refused}`) : null,
    factList(facts),
    element("pre", { tabindex: "0", role: "group", "aria-label": "The request" }, text),
    element(
      "div",
      { class: "tools" },
      copyButton(() => text),
    ),
    ...notes.map((note) => element("p", { class: "hint" }, note)),
  ];
}

function budgetFacts(budget, estimate) {
  const extra = { calls: 1, tokens: estimate.total_tokens, usd: estimate.cost_usd ?? 0 };
  const facts = {};
  for (const [owner, suffix] of [
    ["all", ""],
    ["model", " of this model"],
  ]) {
    for (const [unit, { used, cap }] of Object.entries(budget?.[owner] ?? {})) {
      if (cap === null) continue;
      const show = unit === "usd" ? usd : (amount) => counted(amount, unit.slice(0, -1));
      facts[`Budget${suffix}, ${unit}`] = `${show(used + extra[unit])} of ${show(cap)} after this call`;
    }
  }
  return facts;
}
