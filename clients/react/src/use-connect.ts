import { type ConnectError, type ConnectOutcome, createOneRuntime, type OneRuntime } from "@one-runtime/connect";
import { useCallback, useEffect, useRef, useState } from "react";

import { type Backend, type ConnectInput, tokenOf } from "./backend.js";

export interface UseConnectOptions {
  /** The public URL of One Runtime. */
  baseUrl: string;
  /** Calls your backend, which creates a session for the signed-in user. */
  createSession: Backend["createSession"];
  /** Called with each outcome. Use it to update the page only, because a user can forge it. */
  onOutcome?: ((outcome: ConnectOutcome) => void) | undefined;
}

/** `open`: the popup is open. The other values are the state before the first popup, and the last outcome. */
export type ConnectStatus = "idle" | "open" | "connected" | "cancelled" | "error";

export interface Connect {
  /** Opens the popup. Resolves with the outcome, or with null if your backend created no session. Never rejects. */
  open(input?: ConnectInput): Promise<ConnectOutcome | null>;
  /** Closes the popup, as the close button does. */
  close(): void;
  status: ConnectStatus;
  outcome: ConnectOutcome | null;
  /** The popup's error, or the exception of `createSession`. */
  error: ConnectError | Error | null;
}

interface State {
  status: ConnectStatus;
  outcome: ConnectOutcome | null;
  error: ConnectError | Error | null;
}

const IDLE: State = { status: "idle", outcome: null, error: null };

/** The popup for one button, or for a list of buttons. The popup closes if the component disappears. */
export function useConnect(options: UseConnectOptions): Connect {
  const [state, setState] = useState(IDLE);
  const latest = useRef(options);
  const oneRuntime = useRef<OneRuntime | null>(null);
  const popup = useRef<AbortController | null>(null);

  useEffect(() => {
    latest.current = options;
  });
  useEffect(() => {
    oneRuntime.current = createOneRuntime({ baseUrl: options.baseUrl });
  }, [options.baseUrl]);
  const close = useCallback(() => popup.current?.abort(), []);
  useEffect(() => close, [close]);

  const open = useCallback(async (input: ConnectInput = {}) => {
    const isOpen = popup.current?.signal.aborted === false;
    if (isOpen || oneRuntime.current === null) return null;
    const { createSession, onOutcome } = latest.current;
    const controller = new AbortController();
    popup.current = controller;
    // In strict mode, React runs each effect twice. The state belongs to the newest popup.
    const change = (state: State) => popup.current === controller && setState(state);
    change({ ...IDLE, status: "open" });
    try {
      const sessionToken = async () => tokenOf(await createSession(input));
      const outcome = await oneRuntime.current.connections.open({ sessionToken, signal: controller.signal });
      change({ status: outcome.status, outcome, error: outcome.error });
      onOutcome?.(outcome);
      return outcome;
    } catch (error) {
      change({ ...IDLE, status: "error", error: error instanceof Error ? error : new Error(String(error)) });
      return null;
    } finally {
      if (popup.current === controller) popup.current = null;
    }
  }, []);

  return { open, close, ...state };
}
