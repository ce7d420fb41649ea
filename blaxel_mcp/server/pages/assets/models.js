// The models that the page offers: those that have a tool, and one entry for any other.

/** Return the models that have a tool, each with its schema, and the tool for any other model. */
export async function loadModels(client, prefix) {
  const [tools, guide] = await Promise.all([client.listTools(), client.readResource("blaxel://models")]);
  const schemas = new Map(tools.map((tool) => [tool.name, tool]));
  const models = JSON.parse(guide.text)
    .models.filter((model) => schemas.has(model.tool))
    .map((model) => ({ ...model, schema: schemas.get(model.tool).inputSchema }));
  const any = schemas.get(`${prefix}run_model`);
  const description = "Any model, at any path, with any JSON body.";
  if (any)
    models.push({
      name: "Any other model",
      tool: any.name,
      api: "run_model",
      description,
      schema: any.inputSchema,
      uri: null,
    });
  return models;
}

/** Load all fields of a model: `tools/list` has only those that agents fill in most. */
export async function loadSchema(client, model) {
  if (!model.uri || model.isComplete) return;
  const guide = JSON.parse((await client.readResource(model.uri)).text);
  model.schema = guide.input_schema;
  model.isComplete = true;
}

/** Return the arguments that another model takes: all with the same API, otherwise those of the same type in both. */
export function argumentsFor(model, first, args) {
  if (model.api === first.api) return args;
  const typeIn = ({ schema }, name) => schema.properties?.[name]?.type;
  const isShared = (name) => typeIn(model, name) && String(typeIn(model, name)) === String(typeIn(first, name));
  return Object.fromEntries(Object.entries(args).filter(([name]) => isShared(name)));
}

/** Return what keeps the server from listing the workspace's models, as sentences. */
export async function listingNotes(client, tool) {
  const result = await client.callTool(tool, {});
  return result.structuredContent?.notes ?? [];
}
