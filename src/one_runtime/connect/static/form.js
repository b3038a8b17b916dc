// The form of one auth type: fields, their validation, the problem box and the button. It keeps what was typed.
import { el, icon, leavingLink, text } from "./dom.js";

let ids = 0;
let pressed = false;
window.addEventListener("pointerdown", () => (pressed = true), true);
for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => (pressed = false), true);

// Leaving a field by pressing the button: an error that appears now would push the button away from under the pointer.
function afterPress(callback) {
  if (!pressed) callback();
  else window.addEventListener("pointerup", () => setTimeout(callback), { once: true });
}

/** One question: a label, a control, an error, help, and where to find the value. */
class Field {
  constructor(spec, group, integration) {
    this.spec = spec;
    this.path = group ? `${group}.${spec.name}` : spec.name;
    this.id = `field-${++ids}`;
    this.pattern = wholeMatch(spec.pattern);
    this.input = spec.options?.length ? this.#select() : this.#input();
    this.error = el("p", { class: "field-error", id: `${this.id}-error`, hidden: true });
    this.node = el("div", { class: "field" }, this.#head(), this.#control(), this.error, this.#help(), this.#where(integration));
    this.input.addEventListener("paste", () => setTimeout(() => this.clean()));
    this.input.addEventListener("input", () => this.showError(null));
    this.input.addEventListener("blur", () => {
      this.clean();
      afterPress(() => this.value && this.check());
    });
  }

  get value() {
    return this.input.value;
  }

  /** Takes away what comes along with copying: spaces around, invisible characters, an address around a subdomain. */
  clean() {
    if (this.input.readOnly) return;
    let value = this.value.replace(/^[\s\u200b\u200e\u200f\u2060\ufeff]+|[\s\u200b\u200e\u200f\u2060\ufeff]+$/g, "");
    const suffix = this.spec.suffix?.toLowerCase();
    if (suffix && value) {
      const host = value.replace(/^https?:\/\//i, "").split(/[/?#]/)[0];
      if (host.toLowerCase().endsWith(suffix)) value = host.slice(0, -suffix.length);
    }
    if (value !== this.value) this.input.value = value;
  }

  /** Whether the value can be sent; shows why not. */
  check() {
    if (!this.value) {
      this.showError(this.spec.optional ? null : text("field.needed"));
      return Boolean(this.spec.optional);
    }
    const fits = !this.pattern || this.pattern.test(this.value);
    this.showError(fits ? null : text("field.pattern"));
    return fits;
  }

  showError(message) {
    this.error.textContent = message ?? "";
    this.error.hidden = !message;
    this.node.classList.toggle("invalid", Boolean(message));
    if (message) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }

  setBusy(busy) {
    // Read-only instead of disabled: focus and the text stay where they are.
    if (this.input.tagName === "SELECT") this.input.disabled = busy;
    else this.input.readOnly = busy;
  }

  #input() {
    return el("input", {
      ...this.#shared(),
      type: this.spec.secret ? "password" : "text",
      placeholder: this.spec.placeholder,
      value: this.spec.default,
      maxlength: 8192,
      autocomplete: "off",
      autocapitalize: "none",
      autocorrect: "off",
      spellcheck: "false",
      "data-1p-ignore": true,
      "data-lpignore": "true",
      "data-bwignore": true,
    });
  }

  #select() {
    const options = this.spec.options.map((option) =>
      el("option", { value: option.value, selected: option.value === this.spec.default }, option.label ?? option.value),
    );
    if (!this.spec.default) options.unshift(el("option", { value: "", selected: true }, text("field.choose")));
    return el("select", { ...this.#shared(), autocomplete: "off" }, options);
  }

  #shared() {
    const described = [`${this.id}-error`];
    if (this.spec.suffix) described.push(`${this.id}-suffix`);
    if (this.spec.help) described.push(`${this.id}-help`);
    return {
      id: this.id,
      name: this.path,
      "aria-describedby": described.join(" "),
      "aria-required": this.spec.optional ? null : "true",
    };
  }

  #head() {
    const label = el("label", { for: this.id }, this.spec.label);
    return el("div", { class: "field-head" }, label, this.spec.optional ? el("span", { class: "optional" }, text("field.optional")) : null);
  }

  #control() {
    const control = el("div", { class: "control" }, this.input);
    if (this.spec.suffix) control.append(el("span", { class: "suffix", id: `${this.id}-suffix` }, this.spec.suffix));
    if (this.input.tagName === "SELECT") control.append(icon("down"));
    if (this.spec.secret) control.append(this.#reveal());
    return control;
  }

  #reveal() {
    const button = el("button", { type: "button", class: "reveal", "aria-controls": this.id });
    const draw = () => {
      const hidden = this.input.type === "password";
      button.setAttribute("aria-label", text(hidden ? "field.show" : "field.hide", { label: this.spec.label }));
      button.replaceChildren(icon(hidden ? "eye" : "eye-off"));
    };
    button.addEventListener("click", () => {
      this.input.type = this.input.type === "password" ? "text" : "password";
      draw();
    });
    draw();
    return button;
  }

  #help() {
    return this.spec.help ? el("p", { class: "help", id: `${this.id}-help` }, this.spec.help) : null;
  }

  #where(integration) {
    if (!this.spec.where && !this.spec.where_url) return null;
    const link = leavingLink(this.spec.where_url, text("field.where.link", { integration }));
    return el(
      "details",
      { class: "where" },
      el("summary", {}, icon("right"), text("field.where")),
      el("div", { class: "where-body" }, this.spec.where ? el("p", {}, this.spec.where) : null, link),
    );
  }
}

/** The form of one auth type of a view. `node` is the element; `onSubmit` gets what goes to the server. */
export class AuthForm {
  #busy = false;

  constructor(view, auth, headingId, onSubmit) {
    const integration = view.integration.name;
    this.auth = auth;
    this.integration = integration;
    this.fields = [
      ...auth.params.map((spec) => new Field(spec, "params", integration)),
      ...auth.fields.map((spec) => new Field(spec, "credentials", integration)),
    ];
    if (view.suggested_connection_name) this.fields.push(new Field(nameSpec(view), "", integration));
    this.problem = el("div", { class: "problem", tabindex: "-1", role: "alert", hidden: true });
    this.status = el("p", { class: "sr-only", role: "status" });
    this.label = text(view.reconnect ? "action.reconnect" : "action.connect", { integration });
    this.button = el("button", { type: "submit", class: "primary" }, el("span", { class: "label" }, this.label));
    this.node = el(
      "form",
      { novalidate: true, autocomplete: "off", "aria-labelledby": headingId },
      this.problem,
      this.fields.map((field) => field.node),
      this.button,
      this.status,
    );
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.#busy && this.#check()) onSubmit(this.#request());
    });
  }

  get firstControl() {
    return this.fields.find((field) => !field.value)?.input ?? this.fields[0]?.input ?? this.button;
  }

  setBusy(busy) {
    this.#busy = busy;
    const progress = text(this.auth.checked ? "progress.checking" : "progress.connecting", { integration: this.integration });
    this.node.setAttribute("aria-busy", String(busy));
    this.button.setAttribute("aria-disabled", String(busy));
    this.button.replaceChildren(...(busy ? [el("span", { class: "spinner", "aria-hidden": "true" })] : []));
    this.button.append(el("span", { class: "label" }, busy ? progress : this.label));
    this.status.textContent = busy ? progress : "";
    for (const field of this.fields) field.setBusy(busy);
    if (busy) this.#hideProblem();
  }

  /** Errors at their fields; whatever has no field of ours goes into the box. */
  showFieldErrors(errors) {
    const homeless = [];
    for (const { field: path, message } of errors) {
      const field = this.fields.find((candidate) => candidate.path === path);
      if (field) field.showError(message || text("field.invalid"));
      else homeless.push(message);
    }
    if (homeless.length > 0) this.showProblem(homeless.join(" "));
    else this.#focusFirstError();
  }

  /** Our sentence, and the provider's own words where it gave any. */
  showProblem(sentence, reason = null) {
    const quote = reason
      ? [el("p", { class: "says" }, text("problem.says", { integration: this.integration })), el("blockquote", {}, reason)]
      : [];
    this.problem.replaceChildren(icon("alert"), el("div", {}, el("p", {}, sentence), quote));
    this.problem.hidden = false;
    this.problem.focus();
  }

  #hideProblem() {
    this.problem.hidden = true;
    this.problem.replaceChildren();
  }

  #check() {
    for (const field of this.fields) field.clean();
    const fits = this.fields.map((field) => field.check()).every(Boolean);
    if (!fits) this.#focusFirstError();
    return fits;
  }

  #focusFirstError() {
    this.status.textContent = text("progress.invalid");
    this.fields.find((field) => !field.error.hidden)?.input.focus();
  }

  #request() {
    const collect = (group) =>
      Object.fromEntries(
        this.fields
          .filter((field) => field.path === `${group}.${field.spec.name}` && field.value)
          .map((field) => [field.spec.name, field.value]),
      );
    const request = { auth_type: this.auth.type, params: collect("params"), credentials: collect("credentials") };
    const name = this.fields.find((field) => field.path === "name")?.value;
    return name ? { ...request, name } : request;
  }
}

function nameSpec(view) {
  const help = text("field.name.help");
  return { name: "name", label: text("field.name"), help, default: view.suggested_connection_name, optional: true };
}

// Patterns are written for Python's `fullmatch`; one that JavaScript does not know is left to the server.
function wholeMatch(pattern) {
  if (!pattern) return null;
  try {
    return new RegExp(`^(?:${pattern})$`, "u");
  } catch {
    return null;
  }
}
