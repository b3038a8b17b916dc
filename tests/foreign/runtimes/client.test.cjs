/** The client in Jest, which loads CommonJS. */

const { OneRuntime, NotFound, webhooks } = require("@one-runtime/client");

const { baseUrl, apiKey, webhook } = JSON.parse(process.env.INPUT);

test("the client lists and refuses", async () => {
  const client = new OneRuntime({ baseUrl, apiKey });
  const [acme] = await client.integrations.list({ endUserId: "jest", slug: "acme" });
  expect(acme.status).toBe("not_connected");
  await expect(client.connections.get("unknown")).rejects.toThrow(NotFound);
});

test("the client verifies webhooks, also from the buffers of Jest", async () => {
  const { secret, headers, body } = webhook;
  for (const content of [body, Buffer.from(body), new TextEncoder().encode(body).buffer]) {
    expect((await webhooks.verify(secret, headers, content)).endUserId).toBe("user_é");
  }
});
