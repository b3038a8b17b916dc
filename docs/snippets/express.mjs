import { expressHandler, OneRuntime } from "@one-runtime/client";
import express from "express";

const oneRuntime = new OneRuntime(); // reads ONE_RUNTIME_URL and ONE_RUNTIME_API_KEY
const session = { allowedOrigins: ["http://localhost:3000"] }; // the origin of your page
const user = (request) => request.user && { id: String(request.user.id) }; // your login, such as Passport, sets it
const app = express();
app.use(express.static("public")); // with the page as index.html
app.use("/api/one-runtime", expressHandler({ client: oneRuntime, user, session }));
app.get("/contacts", async (request, response) => {
  if (!request.user) return response.sendStatus(401);
  const answer = await oneRuntime.proxy.get("acme", "/v1/contacts", { endUserId: String(request.user.id) });
  response.status(answer.status).json(await answer.json());
});
app.listen(3000);
