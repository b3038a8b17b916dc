import { Integrations } from "@one-runtime/react";

export const dynamic = "force-dynamic";

export default function Settings() {
  return <Integrations baseUrl={process.env.ONE_RUNTIME_URL} backend="/api/one-runtime" />;
}
