import { useCallback, useEffect, useId, useRef, useState } from "react";

import { type Backend, backendAt, type Integration } from "./backend.js";
import { type Texts, TEXTS } from "./texts.js";
import { useConnect } from "./use-connect.js";

export interface IntegrationsProps {
  /** The public URL of One Runtime. */
  baseUrl: string;
  /** The path of your backend's handler, such as `/api/one-runtime`, or functions that call your backend. */
  backend: string | Backend;
  className?: string;
  /** Replaces texts, for example with another language. */
  texts?: Partial<Texts>;
}

type List = Integration[] | null;

/**
 * The settings page: a list of integrations with their status, a search field, and buttons to connect and disconnect.
 * The elements have class names and data attributes. Their styles are in the file `styles.css` of this package.
 */
export function Integrations({ baseUrl, backend, className = "", texts }: IntegrationsProps) {
  const words = { ...TEXTS, ...texts };
  const functions = useBackend(backend);
  const { list, failed, reload } = useList(functions);
  const [search, setSearch] = useState("");
  const [announcement, say] = useState("");
  const searchId = useId();
  const searchField = useRef<HTMLInputElement>(null);
  const { open, error } = useConnect({
    baseUrl,
    createSession: functions.createSession,
    onOutcome: ({ status, connectionName }) => {
      if (status === "connected") say(words.connectedAs(connectionName ?? ""));
      void reload();
    },
  });
  const changeSearch = (text: string) => {
    say("");
    setSearch(text);
  };
  const showAll = () => {
    changeSearch("");
    searchField.current?.focus();
  };
  const disconnect = async (integration: Integration) => {
    if (!window.confirm(words.confirm(integration.name))) return;
    try {
      await functions.disconnect(integration.slug);
      say(words.disconnected(integration.name));
    } catch (reason) {
      say(reason instanceof Error ? reason.message : String(reason));
    }
    await reload();
  };
  const shown = (list ?? []).filter((integration) => matches(integration, search));
  const problem = failed ?? error;
  const found = list !== null && search !== "" ? words.found(shown.length) : "";
  const progress = list === null && failed === null ? words.loading : found;
  return (
    <section className={`one-runtime-integrations ${className}`.trim()} aria-busy={list === null && !failed}>
      <label className="one-runtime-search" htmlFor={searchId}>
        {words.search}
      </label>
      <input
        ref={searchField}
        id={searchId}
        type="search"
        value={search}
        onChange={(event) => changeSearch(event.target.value)}
      />
      <p role="status" className="one-runtime-status">
        {announcement || progress}
      </p>
      {problem && (
        <p role="alert" className="one-runtime-error">
          {problem.message}{" "}
          {failed && (
            <button type="button" onClick={() => void reload()}>
              {words.retry}
            </button>
          )}
        </p>
      )}
      {list !== null && shown.length === 0 && (
        <div className="one-runtime-empty">
          <bdi>{list.length === 0 ? words.none : words.nothingFound(search.trim())}</bdi>
          {list.length > 0 && (
            <button type="button" onClick={showAll}>
              {words.showAll}
            </button>
          )}
        </div>
      )}
      <ul className="one-runtime-list">
        {shown.map((integration) => (
          <Item
            key={integration.slug}
            integration={integration}
            words={words}
            connect={(connectionId) => void open({ integrationSlug: integration.slug, connectionId })}
            disconnect={() => void disconnect(integration)}
          />
        ))}
      </ul>
    </section>
  );
}

interface ItemProps {
  integration: Integration;
  words: Texts;
  /** Connects an account, or reconnects the account of a connection. */
  connect: (connectionId?: string) => void;
  disconnect: () => void;
}

function Item({ integration, words, connect, disconnect }: ItemProps) {
  const { slug, name, description, logoUrl, status, connections } = integration;
  const broken = connections.filter((connection) => connection.status === "needs_reauth");
  const state = status === "not_connected" && broken.length > 0 ? "needs_reauth" : status;
  const verb = { connected: words.disconnect, needs_reauth: words.reconnect, not_connected: words.connect }[state];
  const connected = connections.filter((connection) => connection.status === "active");
  // A reconnection names its connection: otherwise, the popup has to ask which of several accounts the user means.
  const only = broken.length === 1 ? broken[0]?.id : undefined;
  const hasOwnButtons = state === "connected" || broken.length > 1;
  return (
    <li className="one-runtime-integration" data-slug={slug} data-status={state}>
      {logoUrl ? (
        <img className="one-runtime-logo" src={logoUrl} alt="" width={32} height={32} loading="lazy" />
      ) : (
        <span className="one-runtime-logo" aria-hidden="true">
          {[...name][0]}
        </span>
      )}
      <strong className="one-runtime-name">
        <bdi>{name}</bdi>
      </strong>
      <span className="one-runtime-description">{description}</span>
      {connected.length > 0 && (
        <span className="one-runtime-accounts">
          {words.connectedTo} <bdi>{connected.map((connection) => connection.name).join(", ")}</bdi>
        </span>
      )}
      {broken.map(({ id, name: account }) => (
        <span key={id} className="one-runtime-reason">
          {words.reauthorize} <bdi>{account}</bdi>{" "}
          {hasOwnButtons && (
            <button type="button" className="one-runtime-reconnect" aria-haspopup="dialog" onClick={() => connect(id)}>
              {words.reconnect} <span className="one-runtime-of">{account}</span>
            </button>
          )}
        </span>
      ))}
      {/* The first button stays the same element in every state, so it keeps the focus. */}
      <button
        type="button"
        className={state === "connected" ? "one-runtime-disconnect" : "one-runtime-connect"}
        aria-haspopup={state === "connected" ? undefined : "dialog"}
        onClick={state === "connected" ? disconnect : () => connect(only)}
      >
        {verb} <span className="one-runtime-of">{name}</span>
      </button>
      {state === "needs_reauth" && (
        <button type="button" className="one-runtime-disconnect" onClick={disconnect}>
          {words.disconnect} <span className="one-runtime-of">{name}</span>
        </button>
      )}
    </li>
  );
}

function matches({ name, slug, category }: Integration, search: string) {
  const words = search.toLowerCase().split(/\s+/);
  const text = `${name} ${slug} ${category}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

/** Returns the functions of the backend. They stay the same while the path stays the same. */
function useBackend(backend: string | Backend): Backend {
  const [functions, setFunctions] = useState<[string | Backend, Backend]>(() => [backend, functionsOf(backend)]);
  if (functions[0] === backend) return functions[1];
  const changed = functionsOf(backend);
  setFunctions([backend, changed]);
  return changed;
}

function functionsOf(backend: string | Backend) {
  return typeof backend === "string" ? backendAt(backend) : backend;
}

/**
 * Returns integrations with a connection before the others. A list that is loaded again keeps its order, because an
 * element that moves in the document loses the focus.
 */
function ordered(loaded: Integration[], shown: List): Integration[] {
  const before = (shown ?? loaded.filter(({ connections }) => connections.length > 0)).map(({ slug }) => slug);
  const places = new Map(before.map((slug, place) => [slug, place]));
  const place = ({ slug }: Integration) => places.get(slug) ?? places.size;
  return [...loaded].sort((one, other) => place(one) - place(other));
}

/** Loads the list, and loads it again on demand. `list` is null before the first answer. */
function useList(backend: Backend) {
  const [list, setList] = useState<List>(null);
  const [failed, setFailed] = useState<Error | null>(null);
  const loading = useRef<AbortController | null>(null);
  const reload = useCallback(async () => {
    loading.current?.abort();
    const controller = new AbortController();
    loading.current = controller;
    try {
      const loaded = await backend.listIntegrations(controller.signal);
      if (controller.signal.aborted) return;
      setList((shown) => ordered(loaded, shown));
      setFailed(null);
    } catch (error) {
      if (!controller.signal.aborted) setFailed(error instanceof Error ? error : new Error(String(error)));
    }
  }, [backend]);
  useEffect(() => {
    void reload();
    return () => loading.current?.abort();
  }, [reload]);
  return { list, failed, reload };
}
