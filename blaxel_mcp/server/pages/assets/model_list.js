// The choice of a model: a list that a search and an API narrow down, and a second model to compare with.

import { element, uniqueId } from "./dom.js";

/**
 * Return the controls to choose from some models, each `{tool, name, api, description}`.
 *
 * `node` holds them. `selected()` and `compared()` return a model, `compared` null without one; `select(tool, other)`
 * chooses them. `onChange` is called after each choice.
 */
export function modelList(models, onChange) {
  const group = uniqueId("models");
  const search = element("input", {
    type: "search",
    id: `${group}-search`,
    placeholder: "Search",
    autocomplete: "off",
  });
  const api = element(
    "select",
    { id: `${group}-api` },
    element("option", { value: "" }, "Every API"),
    [...new Set(models.map((model) => model.api))].sort().map((name) => element("option", { value: name }, name)),
  );
  const other = element("select", { id: `${group}-other` });
  const none = element("p", { class: "hint", hidden: true }, "No model matches.");
  const about = element("p", { class: "hint" });
  const rows = models.map((model) => modelRow(model, group));
  const list = element(
    "div",
    { class: "choices", role: "radiogroup", "aria-label": "Models" },
    rows.map((row) => row.node),
    none,
  );

  function narrow() {
    const words = search.value.toLowerCase().split(/\s+/);
    for (const { node, model } of rows) {
      const text = `${model.name} ${model.api} ${model.description}`.toLowerCase();
      node.hidden = !words.every((word) => text.includes(word)) || Boolean(api.value && api.value !== model.api);
    }
    none.hidden = rows.some(({ node }) => !node.hidden);
  }

  function selected() {
    return rows.find((row) => row.input.checked)?.model ?? null;
  }

  function offerOthers() {
    const { value } = other;
    const others = models.filter((model) => model !== selected());
    const groups = Object.entries(Object.groupBy(others, (model) => model.api));
    const byAPI = groups.map(([name, members]) => element("optgroup", { label: name }, members.map(otherOption)));
    other.replaceChildren(element("option", { value: "" }, "No other model"), ...byAPI);
    other.value = others.some((model) => model.tool === value) ? value : "";
  }

  function choose() {
    offerOthers();
    about.textContent = selected()?.description ?? "";
    onChange();
  }

  search.addEventListener("input", narrow);
  api.addEventListener("change", narrow);
  other.addEventListener("change", onChange);
  list.addEventListener("change", choose);

  return {
    node: element(
      "div",
      {},
      element(
        "div",
        { class: "filters" },
        element("label", { for: search.id, class: "unseen" }, "Search models"),
        search,
        element("label", { for: api.id, class: "unseen" }, "API"),
        api,
      ),
      list,
      about,
      element("div", { class: "field" }, element("label", { for: other.id }, "Compare with"), other),
    ),
    selected,
    compared: () => models.find((model) => model.tool === other.value) ?? null,
    select(tool, otherTool = "") {
      for (const row of rows) row.input.checked = row.model.tool === tool;
      offerOthers();
      other.value = otherTool;
      choose();
    },
  };
}

function modelRow(model, group) {
  const id = uniqueId("model");
  const input = element("input", { type: "radio", name: group, id, value: model.tool });
  const text = element("span", {}, element("b", {}, model.name), element("small", {}, model.api));
  return { model, input, node: element("label", { for: id, class: "choice" }, input, text) };
}

function otherOption(model) {
  return element("option", { value: model.tool }, model.name);
}
