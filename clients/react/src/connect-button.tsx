import { type ButtonHTMLAttributes, useId } from "react";

import { useConnect, type UseConnectOptions } from "./use-connect.js";

export interface ConnectButtonProps
  extends UseConnectOptions,
    Omit<ButtonHTMLAttributes<HTMLButtonElement>, "type" | "onClick"> {
  /** Without a slug, the popup shows a list of integrations. */
  integrationSlug?: string;
  /** The connection to connect again. */
  connectionId?: string;
}

/** A button that opens the popup. `data-status` has the status of `useConnect`. An error is shown after the button. */
export function ConnectButton({
  baseUrl,
  createSession,
  onOutcome,
  integrationSlug,
  connectionId,
  children = "Connect",
  ...attributes
}: ConnectButtonProps) {
  const { open, status, error } = useConnect({ baseUrl, createSession, onOutcome });
  const errorId = useId();
  return (
    <>
      <button
        aria-describedby={error ? errorId : undefined}
        {...attributes}
        type="button"
        aria-haspopup="dialog"
        data-status={status}
        onClick={() => void open({ integrationSlug, connectionId })}
      >
        {children}
      </button>
      {error && (
        <span id={errorId} role="alert" className="one-runtime-error">
          {error.message}
        </span>
      )}
    </>
  );
}
