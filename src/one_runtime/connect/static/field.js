// Functions of form fields: cleaning, validation, errors, and showing a secret. The popup's script or the server has
// already built the fields.
import { el, icon, text } from "./dom.js";

const COPIED_ALONG = /^[\s\u200b\u200e\u200f\u2060\ufeff]+|[\s\u200b\u200e\u200f\u2060\ufeff]+$/g;

const LONGEST = 16_384; // characters; the server refuses a longer value

let pressed = false;
window.addEventListener("pointerdown", () => (pressed = true), true);
for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => (pressed = false), true);

// If the user leaves a field by pressing the button, wait for the end of the press. An error that appears earlier would
// move the button away from the pointer.
function afterPress(callback) {
  if (!pressed) callback();
  else window.addEventListener("pointerup", () => setTimeout(callback), { once: true });
}

export class Control {
  #node;
  #suffix;
  #pattern;
  #optional;

  /** `node`: the element that contains the input and its error. */
  constructor(node, input, error, { pattern, suffix, optional }) {
    this.#node = node;
    this.#suffix = suffix?.toLowerCase();
    this.#pattern = wholeMatch(pattern);
    this.#optional = Boolean(optional);
    this.input = input;
    this.error = error;
    input.addEventListener("paste", () => setTimeout(() => this.clean()));
    input.addEventListener("input", () => this.showError(null));
    input.addEventListener("blur", () => {
      this.clean();
      afterPress(() => this.value && this.check());
    });
  }

  get value() {
    return this.input.value;
  }

  /** Removes unwanted copied text: spaces and invisible characters at both ends, and the URL around a subdomain. */
  clean() {
    if (this.input.readOnly) return;
    let value = this.value.replace(COPIED_ALONG, "");
    if (this.#suffix && value) {
      const host = value.replace(/^https?:\/\//i, "").split(/[/?#]/)[0];
      if (host.toLowerCase().endsWith(this.#suffix)) value = host.slice(0, -this.#suffix.length);
    }
    if (value !== this.value) this.input.value = value;
  }

  /** Returns true if the value can be sent. Otherwise shows the error and returns false. */
  check() {
    if (!this.value) {
      this.showError(this.#optional ? null : text("field.needed"));
      return this.#optional;
    }
    if (this.value.length > LONGEST) {
      this.showError(text("field.too_long", { limit: LONGEST.toLocaleString(document.documentElement.lang) }));
      return false;
    }
    const fits = !this.#pattern || this.#pattern.test(this.value);
    this.showError(fits ? null : text("field.pattern"));
    return fits;
  }

  showError(message) {
    this.error.textContent = message ?? "";
    this.error.hidden = !message;
    this.#node.classList.toggle("invalid", Boolean(message));
    if (message) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }

  setBusy(busy) {
    // Use read-only instead of disabled: a disabled field loses the focus, and a browser does not send its text.
    if (this.input.tagName === "SELECT") this.input.inert = busy;
    else this.input.readOnly = busy;
  }

  /** Returns a button that shows and hides the secret. */
  reveal(label) {
    const button = el("button", { type: "button", class: "reveal", "aria-controls": this.input.id });
    const draw = () => {
      const hidden = this.input.classList.contains("masked");
      button.setAttribute("aria-label", text(hidden ? "field.show" : "field.hide", { label }));
      button.replaceChildren(icon(hidden ? "eye" : "eye-off"));
    };
    button.addEventListener("click", () => {
      this.input.classList.toggle("masked");
      draw();
    });
    draw();
    return button;
  }
}

/** Cleans and checks every field. Focuses the first invalid field. Returns true if all fields are valid. */
export function checkAll(controls) {
  for (const control of controls) control.clean();
  return controls.map((control) => control.check()).every(Boolean) || focusFirstError(controls);
}

export function focusFirstError(controls) {
  controls.find((control) => !control.error.hidden)?.input.focus();
  return false;
}

/** Shows progress on the button. `label`: the text of the busy button, or null to end the progress. */
export function showBusy(form, button, label) {
  form.setAttribute("aria-busy", String(label !== null));
  button.setAttribute("aria-disabled", String(label !== null));
  const words = button.querySelector(".label");
  button.querySelector(".spinner")?.remove();
  button.dataset.label ??= words.textContent;
  words.textContent = label ?? button.dataset.label;
  if (label !== null) button.prepend(el("span", { class: "spinner", "aria-hidden": "true" }));
}

// Patterns follow Python's `fullmatch`. If JavaScript does not support a pattern, only the server checks the pattern.
function wholeMatch(pattern) {
  if (!pattern) return null;
  try {
    return new RegExp(`^(?:${pattern})$`, "u");
  } catch {
    return null;
  }
}
