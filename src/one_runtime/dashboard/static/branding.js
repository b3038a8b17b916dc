// The form with the branding: color pickers, and a preview after each change. Without this script, the form has a button.

// A color picker beside a text field with a color
for (const picker of document.querySelectorAll("input[data-color-of]")) {
  const field = document.getElementById(picker.dataset.colorOf);
  picker.hidden = false;
  picker.addEventListener("input", () => {
    field.value = picker.value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  field.addEventListener("input", () => {
    if (/^#[0-9a-f]{6}$/i.test(field.value)) picker.value = field.value;
  });
}

// The preview of unsaved branding. Each preview gets a new frame: a second page in the same frame would be a further
// step of the browser's history.
const PREVIEW_MS = 300;
for (const form of document.querySelectorAll("form[data-preview]")) {
  const button = form.querySelector("button[formtarget]");
  let frame = document.querySelector(`iframe[name="${button.formTarget}"]`);
  let count = 0;
  let timer = null;
  const show = () => {
    const old = frame;
    frame = old.cloneNode();
    frame.removeAttribute("src");
    frame.name = button.formTarget = `preview-${(count += 1)}`; // browsers keep the name of a loaded frame
    old.after(frame); // some browsers then send `load` for the empty frame
    frame.addEventListener("load", () => old.remove(), { once: true });
    form.requestSubmit(button);
  };
  for (const type of ["input", "change"]) {
    form.addEventListener(type, () => {
      clearTimeout(timer);
      timer = setTimeout(show, PREVIEW_MS);
    });
  }
}
