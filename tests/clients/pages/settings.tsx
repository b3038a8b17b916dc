/** A settings page of a product, in React's strict mode. */

import "@one-runtime/react/styles.css";

import { backendAt, ConnectButton, Integrations, useConnect } from "@one-runtime/react";
import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

declare global {
  interface Window {
    page: { baseUrl: string };
  }
}

const { baseUrl } = window.page;
const backend = backendAt("/api/one-runtime");
const { searchParams } = new URL(location.href);

function OpensAtOnce() {
  const { open, status } = useConnect({ baseUrl, createSession: backend.createSession });
  useEffect(() => void open({ integrationSlug: "acme" }), [open]);
  return <output>{status}</output>;
}

function Page() {
  const [shown, setShown] = useState(true);
  Object.assign(window, { hide: () => setShown(false) });
  if (!shown) return <h1>Another page</h1>;
  return (
    <>
      <h1>Settings</h1>
      {searchParams.has("at-once") && <OpensAtOnce />}
      {searchParams.has("button") && (
        <ConnectButton baseUrl={baseUrl} createSession={backend.createSession} integrationSlug="acme" className="primary">
          Connect Acme
        </ConnectButton>
      )}
      {searchParams.has("list") && <Integrations baseUrl={baseUrl} backend="/api/one-runtime" />}
    </>
  );
}

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
