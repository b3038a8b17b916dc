/** A receiver of webhooks in Next.js: app/hooks/one-runtime/route.js. */

import { WebhookVerificationError, webhooks } from "@one-runtime/client";

export async function POST(request) {
  try {
    const event = await webhooks.verify(process.env.WEBHOOK_SECRET, request.headers, await request.text());
    console.log(event.type, event.endUserId); // your code: put the event into a queue
    return new Response(null, { status: 204 });
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    return new Response(error.detail, { status: 400 });
  }
}
