// Questions, before anything is done.

import { h } from "./dom.js";

/**
 * Ask; the answer is true or false, or with `field` the text that was written (null: no). `more`
 * is an element that says more than the text.
 * The focus begins where nothing happens, and goes back to where it was.
 */
export function confirm({ title, text, yes, bad = false, field = null, more = null }) {
  return new Promise((resolve) => {
    const back = document.activeElement;
    const input = field === null ? null : h("input", { id: "dialog-field", type: "text", maxlength: 500, required: true, autocomplete: "off" });
    const missing = h("p", { class: "problem", role: "alert" });
    let answer = field === null ? false : null;
    const agree = () => {
      if (input !== null && !input.value.trim()) {
        missing.textContent = `${field} is needed.`;
        input.focus();
        return;
      }
      answer = input === null ? true : input.value.trim();
      box.close();
    };
    const no = h("button", { type: "button", onclick: () => box.close() }, "Cancel");
    const box = h(
      "dialog",
      { class: "ask", "aria-labelledby": "dialog-title", "aria-describedby": "dialog-text" },
      h("h2", { id: "dialog-title" }, title),
      h("p", { id: "dialog-text" }, text),
      more,
      input === null ? null : h("label", { for: "dialog-field" }, field),
      input,
      input === null ? null : missing,
      h("div", { class: "row end" }, no, h("button", { type: "button", class: bad ? "danger" : "primary", onclick: agree }, yes)),
    );
    input?.addEventListener("keydown", (event) => {
      if (event.key === "Enter") agree();
    });
    box.addEventListener("close", () => {
      box.remove();
      if (back?.isConnected) back.focus();
      resolve(answer);
    });
    document.body.append(box);
    box.showModal();
    (input ?? no).focus();
  });
}

/**
 * Do something that a freeze may keep one from: `act(override)` is called, and again with the reason
 * for an override if somebody who may has given one. What else goes wrong is thrown.
 */
export async function overriding(session, act) {
  try {
    return await act({});
  } catch (problem) {
    if (!problem.frozen || !session.may.includes("override freeze")) throw problem;
    const reason = await confirm({ title: "Override the freeze?", text: `${problem.message}. An override is recorded.`, yes: "Override it", bad: true, field: "Reason for the override" });
    if (reason === null) throw problem;
    return act({ override_freeze: true, reason });
  }
}
