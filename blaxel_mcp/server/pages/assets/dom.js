// DOM nodes from values. Text becomes text nodes, never markup.

/** Return an element with attributes, listeners (`on: {click: ...}`) and children; null children are left out. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Return an element of a drawing. */
export function svgElement(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, { on = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, String(value));
  }
  for (const [event, listener] of Object.entries(on)) node.addEventListener(event, listener);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Return a button that runs an action. */
export function button(label, action, attributes = {}) {
  return element("button", { type: "button", on: { click: action }, ...attributes }, label);
}

/** Return a button that copies a text. */
export function copyButton(text, label = "Copy") {
  const control = button(label, async () => {
    try {
      await navigator.clipboard.writeText(text());
      control.textContent = "Copied";
    } catch {
      control.textContent = "Not allowed";
    }
    setTimeout(() => (control.textContent = label), 1500);
  });
  return control;
}

let lastId = 0;

/** Return an id that no other element of the page has. */
export function uniqueId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}
