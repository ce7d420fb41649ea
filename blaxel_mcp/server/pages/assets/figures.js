// Figures as people read them.

/** Return an amount of USD with two significant digits, at least to the cent. */
export function usd(amount) {
  if (amount === 0 || Math.abs(amount) >= 0.1) return `$${amount.toFixed(2)}`;
  const digits = 1 - Math.floor(Math.log10(Math.abs(amount)));
  return `$${amount.toFixed(Math.min(digits, 12))}`;
}

/** Return a count with its noun, such as "1 call" or "1,200 calls". */
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Return milliseconds as seconds. */
export function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 2 : 1)} s`;
}

/** Return a wait in seconds as people say it. */
export function duration(wait) {
  if (wait < 120) return `${Math.ceil(wait)} s`;
  const minutes = Math.ceil(wait / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
