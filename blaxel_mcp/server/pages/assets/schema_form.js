// A form made from a tool's JSON Schema. Fields that people fill in most come first, the others are folded away.

import { element, uniqueId } from "./dom.js";

const COMMON = [
  "model",
  "path",
  "data",
  "prompt",
  "system",
  "input",
  "inputs",
  "query",
  "documents",
  "file",
  "images",
  "voice",
  "size",
];
const LONG = ["prompt", "system", "input", "inputs", "instructions", "query"];
const FILES = ["file", "images"];

/**
 * Return a form for a schema: its `nodes`, `read()`, which returns the arguments, and `fill(args)`.
 *
 * `read` throws an `Error` if a field cannot be used, after it has marked and focused it. Fields that the schema does
 * not name go into a field of JSON, since a model's tool passes them through.
 */
export function schemaForm(schema) {
  const required = schema.required ?? [];
  const names = Object.keys(schema.properties ?? {});
  const fields = names.map((name) => schemaField(name, schema.properties[name], required.includes(name)));
  const extra = schemaField(
    "other fields",
    { type: "object", description: "A JSON object of fields that are not listed." },
    false,
  );
  const isCommon = ({ name }) => COMMON.includes(name) || required.includes(name);
  const first = COMMON.map((name) => fields.find((field) => field.name === name)).filter(Boolean);
  const shown = [...first, ...fields.filter((field) => isCommon(field) && !first.includes(field))];
  const folded = [...fields.filter((field) => !shown.includes(field)), extra];
  const details = element(
    "details",
    { class: "more" },
    element("summary", {}, "More fields"),
    folded.map((field) => field.node),
  );

  return {
    nodes: [...shown.map((field) => field.node), details],
    read() {
      const args = {};
      for (const field of [...fields, extra]) {
        const value = field.read();
        if (field === extra) Object.assign(args, value);
        else if (value !== undefined) args[field.name] = value;
      }
      return args;
    },
    /** Return the arguments as far as they can be used, without marking anything. */
    peek() {
      const named = fields.map((field) => [field.name, field.peek()]).filter(([, value]) => value !== undefined);
      return { ...Object.fromEntries(named), ...extra.peek() };
    },
    fill(args) {
      for (const field of fields) field.write(args[field.name]);
      const others = Object.fromEntries(Object.entries(args).filter(([name]) => !names.includes(name)));
      extra.write(Object.keys(others).length ? others : undefined);
      if (folded.some((field) => field.isFilled())) details.open = true;
    },
  };
}

function schemaField(name, schema, isRequired) {
  const id = uniqueId("field");
  const kind = kindOf(name, schema);
  const hint = element("small", { id: `${id}-hint` }, [schema.description, kind.hint].filter(Boolean).join(" "));
  const problem = element("small", { id: `${id}-problem`, class: "problem", hidden: true });
  const attributes = { id, name, "aria-describedby": `${id}-hint ${id}-problem`, "aria-required": isRequired || null };
  const control = element(kind.tag, { ...attributes, ...kind.attributes }, kind.options ?? []);
  const label = element(
    "label",
    { for: id },
    name,
    isRequired ? element("span", { class: "required" }, " required") : null,
  );
  const picker = FILES.includes(name) ? filePicker(name, control, name === "images") : null;

  function show(message) {
    problem.textContent = message;
    problem.hidden = !message;
    control.toggleAttribute("aria-invalid", Boolean(message));
  }

  return {
    name,
    node: element("div", { class: "field" }, label, control, picker, hint, problem),
    isFilled: () => control.value !== "",
    read() {
      show("");
      if (control.validity.badInput) return fail("This is not a number.");
      if (control.value === "") return isRequired ? fail("This field is required.") : undefined;
      try {
        return kind.read(control.value);
      } catch (error) {
        return fail(error.message);
      }
    },
    peek() {
      try {
        return control.value === "" || control.validity.badInput ? undefined : kind.read(control.value);
      } catch {
        return undefined;
      }
    },
    write(value) {
      show("");
      control.value = value === undefined ? "" : kind.write(value);
    },
  };

  function fail(message) {
    show(message);
    control.closest("details")?.setAttribute("open", "");
    control.focus();
    throw new Error(`${name}: ${message}`);
  }
}

/** Return how the values of a schema are entered. */
function kindOf(name, schema) {
  const type = [schema.type].flat().find((each) => each !== "null") ?? "string";
  const text = {
    read: (value) => value,
    write: (value) => (typeof value === "string" ? value : JSON.stringify(value)),
  };
  if (schema.enum) return { ...text, tag: "select", options: optionNodes(schema.enum) };
  if (type === "boolean") {
    return { tag: "select", options: optionNodes(["true", "false"]), read: (value) => value === "true", write: String };
  }
  if (type === "integer" || type === "number") {
    const step = type === "integer" ? 1 : "any";
    const attributes = { type: "number", min: schema.minimum, max: schema.maximum, step };
    return { tag: "input", attributes, read: Number, write: String };
  }
  if (type === "array" && (schema.items?.type ?? "string") === "string") {
    const read = (value) => value.split("\n").filter((line) => line.trim());
    const write = (value) => [value].flat().join("\n");
    return { tag: "textarea", attributes: { rows: FILES.includes(name) ? 1 : 3 }, hint: "One per line.", read, write };
  }
  if (type === "object" || type === "array") {
    const read = (value) => readJSON(value, type);
    const write = (value) => JSON.stringify(value, null, 2);
    return { tag: "textarea", attributes: { rows: 3, class: "code", spellcheck: "false" }, hint: "JSON.", read, write };
  }
  if (LONG.includes(name)) return { ...text, tag: "textarea", attributes: { rows: name === "system" ? 2 : 4 } };
  return { ...text, tag: "input", attributes: { type: "text", autocomplete: "off" } };
}

function optionNodes(values) {
  return ["", ...values].map((value) => element("option", { value }, value === "" ? "(default)" : String(value)));
}

function readJSON(text, type) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("This is not JSON.");
  }
  const isArray = Array.isArray(value);
  if (value === null || typeof value !== "object" || isArray !== (type === "array")) {
    throw new Error(`This is not a JSON ${type}.`);
  }
  return value;
}

/** Return a control that puts a file into a field, as a data: URL. */
function filePicker(name, control, isList) {
  const id = uniqueId("file");
  const input = element("input", {
    id,
    type: "file",
    multiple: isList,
    on: {
      async change() {
        const urls = await Promise.all([...input.files].map(dataURL));
        control.value = isList ? [...control.value.split("\n").filter(Boolean), ...urls].join("\n") : (urls[0] ?? "");
        control.dispatchEvent(new Event("input", { bubbles: true }));
      },
    },
  });
  return element(
    "span",
    { class: "picker" },
    element("label", { for: id }, `Choose ${isList ? "files" : "a file"} for ${name}`),
    input,
  );
}

function dataURL(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
