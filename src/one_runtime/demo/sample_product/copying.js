// Buttons that copy a text.

/** Copies a text to the clipboard. The button then shows the result. */
export async function copy(text, button) {
  const label = button.dataset.label ?? button.textContent;
  button.dataset.label = label;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select it and copy";
  }
  setTimeout(() => { button.textContent = label; }, 1600);
}

/** Returns a row of a list: a name, a button that copies the text, and the text. */
export function copyRow(name, text, about = name) {
  const row = document.createElement("li");
  const title = document.createElement("span");
  const code = document.createElement("code");
  const button = document.createElement("button");
  title.textContent = name;
  code.textContent = text;
  button.type = "button";
  button.className = "link";
  button.append("Copy", hidden(` ${about}`));
  button.addEventListener("click", () => copy(text, button));
  row.append(title, button, code);
  return row;
}

/** Returns a text that only screen readers read. */
export function hidden(text) {
  const span = document.createElement("span");
  span.className = "visually-hidden";
  span.textContent = text;
  return span;
}
