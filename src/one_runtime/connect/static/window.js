// Additions to the top-level pages, which also work without script: removes the token from the address, survives a
// reload, filters the list while the user types, checks fields before they are sent, and shows a busy button.
import { text } from "./dom.js";
import { checkAll, Control, showBusy } from "./field.js";
import { followList } from "./list.js";

const card = document.getElementById("card");

/** The token: from the page's forms, or, if a reload brought a page without it, from `history.state`. */
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
    if (input.type === "password") input.parentElement.append(control.reveal(node.querySelector("label").textContent));
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
  // The browser restored this page from its back/forward cache.
  window.addEventListener("pageshow", (event) => event.persisted && setBusy(false));
}

const token = storeToken();
if ("closes" in document.body.dataset) window.close();
const [resumeForm, picker, form] = ["#resume", "#picker", ".credentials"].map((selector) => document.querySelector(selector));
if (resumeForm) resume(resumeForm, token);
if (picker) followList(picker);
if (form) enhanceForm(form);
