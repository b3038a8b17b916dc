// Passkeys. A form with `data-passkey` gets its field `credential` from the browser's dialog, and is then sent as usual.
// Without JavaScript, these forms stay hidden.

const supported =
  globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON &&
  globalThis.PublicKeyCredential.parseCreationOptionsFromJSON;

const CANCELLED = "The browser did not finish. Try again.";
const PRESENT = "This device already has a passkey for your account.";
const FAILED = "The server did not answer. Load the page again.";
const LIMITED = "There were too many attempts. Try again in a minute.";

// The challenge of the server is valid for five minutes.
const RENEWAL = 4 * 60 * 1000;

let autofill = null;

async function readOptions(form) {
  const response = await fetch(form.dataset.options, { method: "POST" });
  if (response.redirected) {
    location.assign(response.url); // the session has ended, or the member has to authenticate again
    return null;
  }
  if (!response.ok) throw new Error(response.status === 429 ? LIMITED : FAILED);
  return response.json();
}

async function askBrowser(form, options, more) {
  if (form.dataset.passkey === "create") {
    return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) });
  }
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options), ...more });
}

function send(form, credential) {
  form.elements.credential.value = JSON.stringify(credential.toJSON());
  form.submit();
}

function show(form, text) {
  const problem = form.querySelector(".problem");
  problem.textContent = text;
  problem.hidden = false;
}

async function use(form) {
  const button = form.querySelector("button");
  button.disabled = true;
  form.querySelector(".problem").hidden = true;
  autofill?.abort();
  try {
    const options = await readOptions(form);
    if (options) send(form, await askBrowser(form, options));
  } catch (error) {
    if ([FAILED, LIMITED].includes(error.message)) show(form, error.message);
    else show(form, error.name === "InvalidStateError" ? PRESENT : CANCELLED);
    button.disabled = false;
    button.focus();
  }
}

// The browser offers passkeys in the field of the e-mail address.
async function offerInField(form) {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  autofill = new AbortController();
  const { signal } = autofill;
  const timer = setTimeout(() => {
    autofill.abort();
    if (document.visibilityState === "visible") offerInField(form);
    else document.addEventListener("visibilitychange", () => offerInField(form), { once: true });
  }, RENEWAL);
  signal.addEventListener("abort", () => clearTimeout(timer));
  try {
    const options = await readOptions(form);
    if (options && !signal.aborted) send(form, await askBrowser(form, options, { mediation: "conditional", signal }));
  } catch {
    // The person uses the button or the password.
  }
}

if (supported) {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      use(form);
    });
    if ("autofill" in form.dataset) offerInField(form);
  }
  for (const element of document.querySelectorAll("[data-without-passkeys]")) element.hidden = true;
}
