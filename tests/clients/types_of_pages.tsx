/** Code of a page: every line compiles, and every line below `@ts-expect-error` does not. */

import { type ConnectOutcome, createOneRuntime } from "@one-runtime/connect";
import "@one-runtime/react/styles.css";

import { type Backend, backendAt, ConnectButton, Integrations, useConnect } from "@one-runtime/react";

const { connections } = createOneRuntime({ baseUrl: "https://connect.example.com" });
// @ts-expect-error baseUrl is required in a bundle
createOneRuntime();

export async function open(signal: AbortSignal): Promise<string> {
  const outcome: ConnectOutcome = await connections.open({ sessionToken: async () => "orcs_…", signal });
  // @ts-expect-error connectionId can be null
  outcome.connectionId.length;
  await connections.close();
  if (outcome.status === "connected") return outcome.connectionId;
  return outcome.status === "error" ? outcome.error.code : outcome.status;
}

const backend: Backend = { ...backendAt("/api/one-runtime"), createSession: async () => ({ session_token: "orcs_…" }) };

export function Settings() {
  const { open, status, error } = useConnect({ baseUrl: "https://connect.example.com", createSession: async () => "t" });
  return (
    <>
      <button onClick={() => void open({ integrationSlug: "hubspot" })}>{status}</button>
      {error?.message}
      <ConnectButton baseUrl="https://connect.example.com" createSession={backend.createSession} className="primary" />
      <Integrations baseUrl="https://connect.example.com" backend={backend} texts={{ connect: "Verbinden" }} />
      {/* @ts-expect-error backend is required */}
      <Integrations baseUrl="https://connect.example.com" />
    </>
  );
}
