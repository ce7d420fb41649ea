// Server-sent events (HTML standard, section 9.2) of a response, as `fetch` receives them.

/** Yield the data of each event in a stream of bytes. */
export async function* eventData(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  try {
    for (;;) {
      // A connection that breaks is an end like any other: the reader of the events misses the last one.
      const { done, value } = await reader.read().catch(unlessAborted);
      if (done) return;
      // A line that ends in \r may have its \n in the next chunk: it waits there.
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        if (line === "" && data.length) {
          yield data.join("\n");
          data = [];
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function unlessAborted(error) {
  if (error.name === "AbortError") throw error;
  return { done: true };
}
