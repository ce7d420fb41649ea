// What has been spent today, and what is left of the budget.

import { element } from "./dom.js";
import { counted, usd } from "./figures.js";

const FORMATS = {
  usd: usd,
  calls: (count) => counted(count, "call"),
  tokens: (count) => counted(count, "token"),
};

/** Return the nodes for a usage report (the resource `blaxel://usage`). */
export function budgetNodes(report) {
  const entries = Object.entries(FORMATS).map(([name, format]) => budgetEntry(name, format, report.budget?.[name]));
  return [element("span", { class: "today" }, "Today"), ...entries.filter(Boolean)];
}

function budgetEntry(name, format, entry) {
  if (!entry) return null;
  if (entry.cap === null) return element("span", {}, format(entry.used));
  const share = entry.cap ? entry.used / entry.cap : 1;
  const text = `${format(entry.used)} of ${format(entry.cap)}`;
  const meter = element("meter", {
    min: 0,
    max: 1,
    high: 0.8,
    low: 0.8,
    optimum: 0,
    value: Math.min(share, 1),
    "aria-label": `Budget of ${name}`,
  });
  return element("span", { class: share >= 0.8 ? "near" : null }, meter, text);
}
