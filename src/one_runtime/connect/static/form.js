// The form of one auth type: fields, validation, the problem box and the button. The form keeps the typed values.
import { el, icon, leavingLink, text } from "./dom.js";
import { checkAll, Control, focusFirstError, showBusy } from "./field.js";

let ids = 0;

/** A form field: label, control, error, help, and a hint for finding the value. */
class Field {
  constructor(spec, group, integration) {
    this.spec = spec;
    this.path = group ? `${group}.${spec.name}` : spec.name;
    this.id = `field-${++ids}`;
    const input = spec.options?.length ? this.#select() : this.#input();
    const error = el("p", { class: "field-error", id: `${this.id}-error`, hidden: true });
    this.node = el("div", { class: "field" });
    this.control = new Control(this.node, input, error, spec);
    this.node.append(this.#head(), this.#box(input), error, ...this.#help(), ...this.#where(integration));
  }

  get value() {
    return this.control.value;
  }

  #input() {
    return el("input", {
      ...this.#shared(),
      type: "text",
      class: this.spec.secret && "masked", // browsers offer to save the value of a password field
      placeholder: this.spec.placeholder,
      value: this.spec.default,
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

  #box(input) {
    const box = el("div", { class: "control" }, input);
    if (this.spec.suffix) box.append(el("span", { class: "suffix", id: `${this.id}-suffix` }, this.spec.suffix));
    if (input.tagName === "SELECT") box.append(icon("down"));
    if (this.spec.secret) box.append(this.control.reveal(this.spec.label));
    return box;
  }

  #help() {
    return this.spec.help ? [el("p", { class: "help", id: `${this.id}-help` }, this.spec.help)] : [];
  }

  #where(integration) {
    if (!this.spec.where && !this.spec.where_url) return [];
    const link = leavingLink(this.spec.where_url, text("field.where.link", { integration }));
    return [
      el(
        "details",
        { class: "where" },
        el("summary", {}, icon("right"), text("field.where")),
        el("div", { class: "where-body" }, this.spec.where ? el("p", {}, this.spec.where) : null, link),
      ),
    ];
  }
}

/** The form of one auth type. `node`: the form's element. `onSubmit`: a function that receives the request's body. */
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
    const action = auth.auth_type === "oauth2" ? "action.continue" : view.reconnect ? "action.reconnect" : "action.connect";
    const label = text(action, { integration });
    this.button = el("button", { type: "submit", class: "primary" }, el("span", { class: "label" }, label));
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
      if (this.#busy) return;
      this.#hideProblem();
      if (this.#check()) onSubmit(this.request());
    });
  }

  /** True if the user would lose a typed value. */
  get isChanged() {
    return this.fields.some(({ value, spec }) => value && value !== (spec.default ?? ""));
  }

  get firstControl() {
    const field = this.fields.find(({ value }) => !value) ?? this.fields[0];
    return field?.control.input ?? this.button;
  }

  setBusy(busy) {
    this.#busy = busy;
    const progress = text(this.auth.checked ? "progress.checking" : "progress.connecting", { integration: this.integration });
    showBusy(this.node, this.button, busy ? progress : null);
    this.status.textContent = busy ? progress : "";
    for (const { control } of this.fields) control.setBusy(busy);
    if (busy) this.#hideProblem();
  }

  /** Shows each message at its field. `messages`: by the field's path. Returns false if a path is no field. */
  showFieldErrors(messages) {
    for (const field of this.fields) if (field.path in messages) field.control.showError(messages[field.path]);
    if (!Object.keys(messages).every((path) => this.fields.some((field) => field.path === path))) return false;
    this.#focusFirstError();
    return true;
  }

  /** Shows our sentence. `reason`: the provider's error text, or null. */
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
    return checkAll(this.#controls) || this.#announceInvalid();
  }

  #focusFirstError() {
    this.#announceInvalid();
    focusFirstError(this.#controls);
  }

  #announceInvalid() {
    this.status.textContent = text("progress.invalid");
    return false;
  }

  get #controls() {
    return this.fields.map(({ control }) => control);
  }

  /** Returns the request's body with the typed values. */
  request() {
    const collect = (group) =>
      Object.fromEntries(
        this.fields
          .filter((field) => field.path === `${group}.${field.spec.name}` && field.value)
          .map((field) => [field.spec.name, field.value]),
      );
    const request = { auth_type: this.auth.auth_type, params: collect("params"), credentials: collect("credentials") };
    const name = this.fields.find((field) => field.path === "name")?.value;
    return name ? { ...request, name } : request;
  }
}

function nameSpec(view) {
  const help = text("field.name.help");
  return { name: "name", label: text("field.name"), help, default: view.suggested_connection_name, optional: true };
}
