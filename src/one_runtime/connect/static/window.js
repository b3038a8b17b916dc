// Additions to the top-level pages, which also work without this script. The script removes the token from the address
// bar, and stores the token for a reload. The script filters the list while the user types, checks the fields before
// the browser sends the form, and shows progress on the button.
import { Api } from "./api.js";
import { text } from "./dom.js";
import { checkAll, Control, showBusy } from "./field.js";
import { followList } from "./list.js";

const card = document.getElementById("card");

/** Stores the token in `history.state`, and returns the token. After a reload, the page does not contain the token. */
function storeToken() {
  const token = document.querySelector("[name=session_token]")?.value || history.state?.sessionToken || null;
  const { session } = document.body.dataset;
  history.replaceState({ sessionToken: token }, "", `${location.pathname}${session ? `?session=${session}` : ""}${location.hash}`);
  return token;
}

function resume(form, token) {
  if (token === null) return card.replaceChildren(document.getElementById("lost").content);
  form.elements.session_token.value = token;
  return form.submit();
}

function enhanceForm(form) {
  const controls = [...form.querySelectorAll(".field")].map((node) => {
    const input = node.querySelector("input, select");
    const { pattern, suffix } = input.dataset;
    const control = new Control(node, input, node.querySelector(".field-error"), { pattern, suffix, optional: !input.required });
    if (input.classList.contains("masked")) input.parentElement.append(control.reveal(node.querySelector("label").textContent));
    return control;
  });
  const button = form.querySelector(".primary");
  const status = form.querySelector("[role=status]");
  const setBusy = (busy) => {
    showBusy(form, button, busy ? button.dataset.busy : null);
    status.textContent = busy ? button.dataset.busy : "";
    for (const control of controls) control.setBusy(busy);
  };
  form.noValidate = true;
  form.addEventListener("submit", (event) => {
    const busy = form.getAttribute("aria-busy") === "true";
    const fits = !busy && checkAll(controls);
    if (!fits) event.preventDefault();
    else setBusy(true);
    if (!busy && !fits) status.textContent = text("progress.invalid");
  });
  // If the browser restores this page from its back/forward cache, end the progress.
  window.addEventListener("pageshow", (event) => event.persisted && setBusy(false));
}

const token = storeToken();
if ("closes" in document.body.dataset) window.close();
const [resumeForm, picker, form] = ["#resume", "#picker", ".credentials"].map((selector) => document.querySelector(selector));
if (resumeForm) resume(resumeForm, token);
if (picker) {
  const api = new Api(document.body.dataset.base, token, document.body.dataset.session);
  followList(picker, (query, signal) => api.search(query, signal));
}
if (form) enhanceForm(form);
