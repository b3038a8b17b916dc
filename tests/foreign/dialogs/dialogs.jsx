// Settings dialogs of well-known libraries. Each dialog contains a button that opens the popup.
import * as Headless from "@headlessui/react";
import * as Radix from "@radix-ui/react-dialog";
import { Modal as BootstrapModal } from "bootstrap";
import React, { useState } from "react";
import * as Aria from "react-aria-components";
import { createRoot } from "react-dom/client";

function Content({ open }) {
  const [outcome, setOutcome] = useState("");
  return (
    <>
      <button onClick={async () => setOutcome((await open()).status)}>Connect</button>
      <output id="outcome">{outcome}</output>
    </>
  );
}

const dialogs = {
  radix: ({ isOpen, setOpen, open }) => (
    <Radix.Root open={isOpen} onOpenChange={setOpen}>
      <Radix.Portal>
        <Radix.Overlay />
        <Radix.Content aria-describedby={undefined}>
          <Radix.Title>Settings</Radix.Title>
          <Content open={open} />
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  ),
  headless: ({ isOpen, setOpen, open }) => (
    <Headless.Dialog open={isOpen} onClose={() => setOpen(false)}>
      <Headless.DialogPanel>
        <Headless.DialogTitle>Settings</Headless.DialogTitle>
        <Content open={open} />
      </Headless.DialogPanel>
    </Headless.Dialog>
  ),
  aria: ({ isOpen, setOpen, open }) => (
    <Aria.ModalOverlay isOpen={isOpen} onOpenChange={setOpen} isDismissable>
      <Aria.Modal>
        <Aria.Dialog>
          <Aria.Heading slot="title">Settings</Aria.Heading>
          <Content open={open} />
        </Aria.Dialog>
      </Aria.Modal>
    </Aria.ModalOverlay>
  ),
};

function Page({ Dialog, open }) {
  const [isOpen, setOpen] = useState(true);
  window.isDialogOpen = () => isOpen;
  return <Dialog isOpen={isOpen} setOpen={setOpen} open={open} />;
}

function element(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  document.body.append(template.content);
  return document.body.lastElementChild;
}

function connectIn(dialog, open) {
  dialog.querySelector("button").onclick = async () => {
    dialog.querySelector("output").textContent = (await open()).status;
  };
}

const CONTENT = '<button class="btn">Connect</button><output id="outcome"></output>';

/** Shows the dialog of a library. `open`: opens the popup, and returns the promise of its outcome. */
window.showDialog = (library, open) => {
  document.body.replaceChildren();
  if (library in dialogs) {
    createRoot(element("<div></div>")).render(<Page Dialog={dialogs[library]} open={open} />);
  } else if (library === "bootstrap") {
    const dialog = element(`<div class="modal" tabindex="-1"><div class="modal-dialog"><div class="modal-content">${CONTENT}</div></div></div>`);
    connectIn(dialog, open);
    new BootstrapModal(dialog).show();
    window.isDialogOpen = () => dialog.classList.contains("show");
  } else {
    const dialog = element(`<dialog>${CONTENT}</dialog>`);
    connectIn(dialog, open);
    dialog.showModal();
    window.isDialogOpen = () => dialog.open;
  }
};
