// The session of this page: the token in its link, exchanged for a secret that only this page has.

/** Return the secret of this page, and what the server says of itself: `{secret, about}`. */
export async function openSession() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  // Neither the history nor a screenshot should have it.
  history.replaceState(null, "", location.pathname);
  if (!token)
    throw new Error(
      "This page has no session: reloading it ends it. " +
        "Press Enter in the terminal of `blaxel-mcp playground` for a new link.",
    );
  const body = JSON.stringify({ token });
  const response = await fetch("/session", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error_description);
  return answer;
}
