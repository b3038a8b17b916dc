/** The client in Jest, which loads CommonJS. */

const { OneRuntime, NotFound } = require("@one-runtime/client");

const { baseUrl, apiKey } = JSON.parse(process.env.INPUT);

test("the client lists and refuses", async () => {
  const client = new OneRuntime({ baseUrl, apiKey });
  const [acme] = await client.integrations.list({ endUserId: "jest", slug: "acme" });
  expect(acme.status).toBe("not_connected");
  await expect(client.connections.get("unknown")).rejects.toThrow(NotFound);
});
