"use client";

export { type Backend, backendAt, type ConnectInput, type CreatedSession } from "./backend.js";
export type { Integration, IntegrationConnection } from "./backend.js";
export { ConnectButton, type ConnectButtonProps } from "./connect-button.js";
export { Integrations, type IntegrationsProps } from "./integrations.js";
export type { Texts } from "./texts.js";
export { type Connect, type ConnectStatus, useConnect, type UseConnectOptions } from "./use-connect.js";
export type { ConnectError, ConnectOutcome } from "@one-runtime/connect";
