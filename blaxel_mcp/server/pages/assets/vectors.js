// Vectors as small plots, and how similar they are.

import { element, svgElement } from "./dom.js";

const PLOT_WIDTH = 320;
const PLOT_HEIGHT = 64;
const MAX_PLOTS = 12;
const MAX_COMPARED = 8;

/** Return the nodes that show some vectors: a plot of each, and the cosine of each pair. */
export function vectorNodes(vectors) {
  const plots = vectors.slice(0, MAX_PLOTS).map(plot);
  const rest = vectors.length - plots.length;
  if (rest > 0) plots.push(element("p", { class: "hint" }, `${rest} more vectors are in the JSON.`));
  const isComparable = vectors.length > 1 && vectors.every((vector) => vector.length === vectors[0].length);
  return isComparable ? [...plots, similarities(vectors.slice(0, MAX_COMPARED))] : plots;
}

/** Return the cosine of the angle between two vectors; 0 if one of them has no direction. */
export function cosine(left, right) {
  const product = dot(left, right);
  const lengths = Math.sqrt(dot(left, left) * dot(right, right));
  return lengths ? product / lengths : 0;
}

function dot(left, right) {
  return left.reduce((sum, value, index) => sum + value * right[index], 0);
}

function plot(vector, index) {
  const bars = averaged(vector, PLOT_WIDTH);
  const top = Math.max(...bars.map(Math.abs)) || 1;
  const middle = PLOT_HEIGHT / 2;
  const step = PLOT_WIDTH / bars.length;
  const path = bars
    .map((value, at) => `M${(at + 0.5) * step} ${middle}V${middle - (value / top) * (middle - 2)}`)
    .join("");
  const norm = Math.sqrt(dot(vector, vector));
  const caption = `Vector ${index + 1}: ${vector.length.toLocaleString("en")} dimensions, norm ${norm.toPrecision(3)}`;
  const drawing = svgElement(
    "svg",
    {
      viewBox: `0 0 ${PLOT_WIDTH} ${PLOT_HEIGHT}`,
      role: "img",
      "aria-label": caption,
      class: "plot",
      preserveAspectRatio: "none",
    },
    svgElement("path", { d: path, "stroke-width": Math.max(step * 0.8, 0.8) }),
    svgElement("path", { d: `M0 ${middle}H${PLOT_WIDTH}`, class: "axis" }),
  );
  return element("figure", {}, drawing, element("figcaption", {}, caption));
}

/** Return at most so many values, each the average of its share. */
function averaged(vector, most) {
  if (vector.length <= most) return vector;
  return Array.from({ length: most }, (_, index) => {
    const share = vector.slice(
      Math.floor((index * vector.length) / most),
      Math.ceil(((index + 1) * vector.length) / most),
    );
    return share.reduce((sum, value) => sum + value, 0) / share.length;
  });
}

function similarities(vectors) {
  const head = ["", ...vectors.map((_, index) => index + 1)].map((text) =>
    element("th", { scope: "col" }, String(text)),
  );
  const rows = vectors.map((left, index) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, String(index + 1)),
      vectors.map((right) => element("td", {}, cosine(left, right).toFixed(3))),
    ),
  );
  return element(
    "table",
    { class: "figures" },
    element("caption", {}, "Cosine similarity"),
    element("thead", {}, element("tr", {}, head)),
    element("tbody", {}, rows),
  );
}
