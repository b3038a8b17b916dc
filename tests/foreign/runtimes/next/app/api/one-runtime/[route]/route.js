import { fetchHandler, OneRuntime } from "@one-runtime/client";
import { cookies } from "next/headers";

let handle;

/** The cookie `user` is the login of this product. */
async function signedInUser() {
  const id = (await cookies()).get("user")?.value;
  return id ? { id } : null;
}

function handler(request) {
  const session = { allowedOrigins: [process.env.ORIGIN] };
  handle ??= fetchHandler({ client: new OneRuntime(), user: signedInUser, session });
  return handle(request);
}

export { handler as GET, handler as POST };
