/** A receiver of webhooks in Express. Place the route before `app.use(express.json())`. */

import { WebhookVerificationError, webhooks } from "@one-runtime/client";
import express from "express";

export const app = express();

app.post("/hooks/one-runtime", express.raw({ type: "application/json" }), async (request, response) => {
  try {
    const event = await webhooks.verify(process.env.WEBHOOK_SECRET, request.headers, request.body);
    console.log(event.type, event.endUserId); // your code: put the event into a queue
    response.sendStatus(204);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    response.status(400).send(error.detail);
  }
});
