// The dashboard's script. Every page also works without it.

// htmx parses HTML from this server only. The policy lets htmx insert this HTML, and never runs a script in it. The
// Content-Security-Policy allows no other policy ("trusted-types htmx").
const policy = globalThis.trustedTypes?.createPolicy("htmx", {
  createHTML: (html) => html,
  createScript: () => "",
});
htmx.registerExtension("no-scripts", {
  init: (api) => {
    if (policy) api.initSecurity(policy);
  },
});

// Copy buttons
function showCopyButtons(root) {
  for (const button of root.querySelectorAll("button[data-copy]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(button.previousElementSibling);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
});

// Parts of pages that only work with this script
for (const part of document.querySelectorAll("[data-scripted]")) part.hidden = false;

// A live list asks for new rows only while the page is visible.
document.addEventListener("htmx:before:request", (event) => {
  if (document.hidden && event.target.closest("[data-live]")) event.preventDefault();
});

// A select with this attribute sends its form at once. Without JavaScript, the form has a button.
document.addEventListener("change", (event) => {
  if (event.target.closest("[data-submit]")) event.target.form.requestSubmit();
});

// A form is sent once. A second press has no effect while the server works. A file download keeps its page.
document.addEventListener("submit", (event) => {
  const { target: form, submitter: button } = event;
  if (event.defaultPrevented || form.method !== "post" || button?.formTarget || "download" in form.dataset) return;
  if (form.ariaBusy === "true") event.preventDefault();
  form.ariaBusy = "true";
});

// The browser keeps the page of a form in its history.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[aria-busy]")) form.ariaBusy = null;
});

// A menu closes when the focus leaves it, and with Escape.
for (const menu of document.querySelectorAll("details.person, details.menu")) {
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

showCopyButtons(document);
document.addEventListener("htmx:after:swap", () => showCopyButtons(document));
document.querySelector(".problem[autofocus]")?.focus();
