// The panel at the side: one host or one step of a run, and its commands.

import { button, possibleFor } from "./actions.js";
import { h } from "./dom.js";
import { ACTIVE, STATUS, duration, moment } from "./format.js";
import { Logs } from "./logs.js";

export class Drawer {
  /** `view` has run, host(name), session, after(), and back(): where the focus returns to. */
  constructor(view) {
    this.view = view;
    this.head = h("div", {});
    this.body = h("div", {});
    this.title = h("h2", { tabindex: "-1" });
    this.element = h(
      "aside",
      { class: "drawer", "aria-label": "Details", hidden: true, onkeydown: (event) => this.onKey(event) },
      h("div", { class: "row between" }, this.title, h("button", { type: "button", class: "quiet close", "aria-label": "Close the details", onclick: () => this.close() }, "✕")),
      this.head,
      this.body,
    );
  }

  /** Open it for a host (index null), a step, or the whole run (host null). */
  open(name, index) {
    this.name = name;
    this.index = index;
    this.logs?.stop();
    const step = name === null || index === null ? null : this.view.host(name)?.steps[index];
    this.logs = new Logs(this.view.run.id, name, step?.name ?? null, () => ACTIVE.has(this.view.run.status) && !this.element.hidden);
    this.body.replaceChildren(h("h3", {}, step ? "Commands of this step" : "Commands"), this.logs.element);
    this.element.hidden = false;
    document.body.classList.add("with-drawer");
    this.update();
    this.title.focus();
  }

  close() {
    if (this.element.hidden) return;
    this.logs?.stop();
    this.element.hidden = true;
    document.body.classList.remove("with-drawer");
    this.view.back(this.name, this.index);
  }

  stop() {
    this.logs?.stop();
    document.body.classList.remove("with-drawer");
  }

  onKey(event) {
    if (event.key === "Escape") this.close();
  }

  /** Say again how it stands. */
  update() {
    if (this.element.hidden) return;
    if (this.name === null) {
      this.title.textContent = `Logs of run ${this.view.run.id}`;
      this.head.replaceChildren();
      return;
    }
    const host = this.view.host(this.name);
    if (!host) return;
    const step = this.index === null ? null : host.steps[this.index];
    this.title.textContent = step ? `${step.name} on ${host.name}` : host.name;
    const parts = step ? this.aboutStep(step) : this.aboutHost(host);
    const wanted = JSON.stringify([step ?? host, this.view.run.status]);
    if (wanted === this.drawn && this.head.hasChildNodes()) return; // a button in use must stay
    this.drawn = wanted;
    const acts = possibleFor(this.view.run, host).filter((action) => this.view.session.may.includes(action));
    const focused = this.head.contains(document.activeElement);
    this.head.replaceChildren(...parts, acts.length ? h("div", { class: "row" }, acts.map((action) => button(action, this.view.run, host, this.view.after, this.view.session))) : "");
    if (focused) this.title.focus();
  }

  aboutStep(step) {
    const flower = this.view.flower(step.task_id);
    return [
      h("p", {}, badge(step.status), step.changed ? h("span", { class: "mark" }, "changed the host") : ""),
      step.detail ? h("p", { class: "detail" }, step.detail) : "",
      facts([
        ["Started", step.started_at && moment(step.started_at)],
        ["Ended", step.ended_at && moment(step.ended_at)],
        ["Took", step.seconds === null ? null : duration(step.seconds)],
        ["Attempts", step.attempts || null],
      ]),
      flower ? h("p", {}, h("a", { href: flower, target: "_blank", rel: "noopener noreferrer" }, "This task in Flower (a new tab)")) : "",
    ];
  }

  aboutHost(host) {
    return [
      h("p", {}, badge(host.status), host.waiting_for ? ` waits for ${host.waiting_for}` : ""),
      host.outcome || host.detail ? h("p", { class: "detail" }, [host.outcome, host.detail].filter(Boolean).join(": ")) : "",
      h("ol", { class: "steps" }, host.steps.map((step) => h("li", {}, badge(step.status), h("span", { class: "mono" }, step.name), step.seconds === null ? "" : h("span", { class: "muted" }, duration(step.seconds)), step.detail ? h("p", { class: "muted" }, step.detail) : ""))),
    ];
  }
}

/** A status, as colour, sign and word. */
export function badge(status) {
  return h("span", { class: `badge s-${status}` }, h("span", { "aria-hidden": "true" }, `${STATUS[status].glyph} `), STATUS[status].label);
}

/** A list of names and what they are; what is nothing is left out. */
export function facts(pairs) {
  const found = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, found.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}
