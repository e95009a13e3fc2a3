// What a bar stands for, beside it. Its words are in the bar's own label, too.

import { h } from "./dom.js";
import { STATUS, clock, duration, now, seconds } from "./format.js";

export class Tip {
  constructor() {
    this.element = h("div", { class: "tip", "aria-hidden": "true", hidden: true });
    document.body.append(this.element);
  }

  show(cell, host, step) {
    const from = seconds(step.started_at);
    const took = step.seconds ?? (from === null || step.ended_at !== null ? null : now() - from);
    this.element.replaceChildren(
      h("strong", {}, step.name),
      h("span", { class: `badge s-${step.status}` }, `${STATUS[step.status].glyph} ${STATUS[step.status].label}`),
      h("p", {}, [host.name, from === null ? "" : clock(from), took === null ? "" : duration(took), step.attempts > 1 ? `${step.attempts} attempts` : ""].filter(Boolean).join(" · ")),
      step.detail ? h("p", { class: "tip-detail" }, step.detail) : "",
    );
    this.element.hidden = false;
    const box = cell.getBoundingClientRect();
    const own = this.element.getBoundingClientRect();
    const left = Math.max(8, Math.min(box.left, innerWidth - own.width - 8));
    const below = box.bottom + 6 + own.height < innerHeight;
    const top = below ? box.bottom + 6 : Math.max(8, box.top - own.height - 6);
    this.element.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  hide() {
    this.element.hidden = true;
  }

  remove() {
    this.element.remove();
  }
}
