import { run } from "../../../everywhere.mjs";

export const runtime = "edge";

export async function POST(request) {
  return Response.json(await run(await request.json()));
}
