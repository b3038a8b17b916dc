/** The texts of `<Integrations>`. */
export interface Texts {
  search: string;
  loading: string;
  retry: string;
  connect: string;
  reconnect: string;
  disconnect: string;
  connectedTo: string;
  reauthorize: string;
  found(count: number): string;
  /** There is no integration in the list. */
  none: string;
  nothingFound(search: string): string;
  showAll: string;
  connectedAs(account: string): string;
  disconnected(name: string): string;
  /** The question before an integration is disconnected. */
  confirm(name: string): string;
}

export const TEXTS: Texts = {
  search: "Search integrations",
  loading: "Loading integrations",
  retry: "Try again",
  connect: "Connect",
  reconnect: "Reconnect",
  disconnect: "Disconnect",
  connectedTo: "Connected to",
  reauthorize: "Connect this account again:",
  found: (count) => (count === 1 ? "1 integration found" : `${count} integrations found`),
  none: "There are no integrations yet.",
  nothingFound: (search) => `Nothing matches “${search}”.`,
  showAll: "Show all",
  connectedAs: (account) => (account ? `Connected ${account}.` : "Connected."),
  disconnected: (name) => `${name} is disconnected.`,
  confirm: (name) => `Disconnect ${name}? The stored credentials are deleted.`,
};
