// A run as a picture of time: a row a host, a bar a step. Only the rows in sight are in the page.

import { h, s, say, set } from "./dom.js";
import { STATUS, clock, duration, now, seconds, shortName } from "./format.js";
import { bars, ghostRoom, makeScale, spans, ticks } from "./scale.js";
import { cellAfter } from "./gridkeys.js";
import { Tip } from "./tip.js";

const AROUND = 6; // rows kept above and below what is in sight
const LETTER = 7; // pixels of a bar's text
const PATTERN = { waiting: "hatch", failed: "cross", rolled_back: "back", skipped: "dots", cancelled: "dots" };

/** What somebody hears who does not see the bar. */
export function stepLabel(step) {
  const parts = [step.name, STATUS[step.status].label];
  if (step.seconds !== null) parts.push(duration(step.seconds));
  if (step.attempts > 1) parts.push(`${step.attempts} attempts`);
  if (step.detail) parts.push(step.detail);
  return parts.join(", ");
}

function hostLabel(host) {
  const done = host.steps.filter((step) => ["succeeded", "skipped"].includes(step.status)).length;
  const parts = [host.name, STATUS[host.status].label, `${done} of ${host.steps.length} steps`];
  if (host.waiting_for) parts.push(`waits for ${host.waiting_for}`);
  return parts.join(", ");
}

export class Timeline {
  /** `open(host, index)` is called for a step that is chosen; index null: for the host. */
  constructor(open) {
    this.open = open;
    this.hosts = [];
    this.shown = [];
    this.rows = new Map();
    this.active = { host: null, column: 0 };
    this.narrow = matchMedia("(max-width: 640px)");
    this.axis = s("svg", { class: "tl-axis", "aria-hidden": "true", focusable: "false" });
    this.grid = h("div", { class: "tl-grid", role: "grid", "aria-label": "Steps by host, as a picture of time" });
    this.nowLine = h("div", { class: "tl-now", "aria-hidden": "true" });
    this.body = h("div", { class: "tl-body" }, this.axis, this.grid, this.nowLine);
    this.element = h("div", { class: "tl" }, this.body);
    this.tip = new Tip();
    this.element.addEventListener("scroll", () => this.renderSoon(true), { passive: true });
    this.grid.addEventListener("keydown", (event) => this.onKey(event));
    this.grid.addEventListener("click", (event) => this.onClick(event));
    this.grid.addEventListener("focusin", (event) => this.onFocus(event.target));
    this.grid.addEventListener("focusout", () => this.tip.hide());
    this.grid.addEventListener("pointerover", (event) => this.onPoint(event));
    this.grid.addEventListener("pointerleave", () => this.tip.hide());
    this.observer = new ResizeObserver(() => this.render());
    this.observer.observe(this.element);
    this.clock = setInterval(() => this.running && this.render(), 1000);
  }

  stop() {
    clearInterval(this.clock);
    this.observer.disconnect();
    this.tip.remove();
  }

  /** Show these hosts of a run: `hosts` all, `shown` those that the filter lets through. */
  show(run, hosts, shown) {
    this.run = run;
    this.hosts = hosts;
    this.shown = shown;
    this.running = run.ended_at === null;
    this.columns = shown.reduce((most, host) => Math.max(most, host.steps.length), 0);
    if (!shown.some((host) => host.name === this.active.host)) {
      this.active = { host: shown[0]?.name ?? null, column: 0 };
    }
    this.renderSoon();
  }

  /** Draw at the next frame. `scrolled`: nothing but that has happened. */
  renderSoon(scrolled = false) {
    this.sameScale = (this.sameScale ?? true) && scrolled;
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.render(this.sameScale);
      this.sameScale = undefined;
    });
  }

  measure() {
    const time = now();
    const all = this.hosts.flatMap((host) => spans(host, time));
    let start = seconds(this.run.started_at) ?? seconds(this.run.created_at);
    let end = this.running ? time : (seconds(this.run.ended_at) ?? start);
    for (const span of all) {
      start = Math.min(start, span.from);
      end = Math.max(end, span.to);
    }
    end = Math.max(end, start + 1);
    this.labels = this.narrow.matches ? 0 : 176;
    this.height = this.narrow.matches ? 56 : 34;
    this.width = Math.max(120, this.element.clientWidth - this.labels - 16);
    return makeScale(all, start, end, this.width - ghostRoom(this.hosts));
  }

  /** `sameScale`: all that has changed is which rows are in sight. */
  render(sameScale = false) {
    if (!this.run || !this.element.isConnected) return;
    if (!sameScale || !this.scale) this.scale = this.measure();
    const top = this.element.scrollTop;
    const seen = this.element.clientHeight || 600;
    const first = Math.max(0, Math.floor(top / this.height) - AROUND);
    const last = Math.min(this.shown.length, Math.ceil((top + seen) / this.height) + AROUND);
    const wanted = new Map();
    for (let index = first; index < last; index += 1) wanted.set(this.shown[index].name, index);
    const kept = this.shown.findIndex((host) => host.name === this.active.host);
    if (kept >= 0) wanted.set(this.active.host, kept); // what has the focus must not go
    for (const [name, row] of this.rows) {
      if (!wanted.has(name)) {
        row.element.remove();
        this.rows.delete(name);
      }
    }
    const known = new Set(this.rows.keys());
    this.grid.style.height = `${this.shown.length * this.height}px`;
    set(this.grid, {
      "aria-rowcount": this.shown.length,
      "aria-colcount": 1 + this.columns,
    });
    const time = now();
    let before = null;
    for (const [name, index] of [...wanted].sort((a, b) => a[1] - b[1])) {
      const row = this.rows.get(name) ?? this.makeRow(name);
      // In the order of the hosts, for who listens; moved only when it must be, or focus is lost.
      const place = before === null ? this.grid.firstElementChild : before.nextElementSibling;
      if (row.element !== place) this.grid.insertBefore(row.element, place);
      before = row.element;
      if (!sameScale || !known.has(name)) this.fillRow(row, this.shown[index], index, time);
    }
    if (!sameScale) this.drawAxis();
  }

  makeRow(name) {
    const glyph = h("span", { class: "tl-glyph", "aria-hidden": "true" });
    const text = h("span", { class: "tl-name" }, name);
    const what = h("span", { class: "tl-what" });
    const header = h("div", { class: "tl-host", role: "rowheader", tabindex: "-1", "data-column": 0 }, glyph, text, what);
    const lane = s("svg", { class: "tl-lane", role: "presentation", focusable: "false" });
    const element = h("div", { class: "tl-row", role: "row", "data-host": name }, header, lane);
    const row = { element, header, glyph, what, lane, cells: new Map() };
    this.rows.set(name, row);
    return row;
  }

  fillRow(row, host, index, time) {
    set(row.element, { "aria-rowindex": index + 1, class: `tl-row h-${host.status}` });
    row.element.style.transform = `translateY(${index * this.height}px)`;
    row.element.style.height = `${this.height}px`;
    say(row.glyph, STATUS[host.status].glyph);
    say(row.what, host.waiting_for ?? "");
    set(row.header, { "aria-label": hostLabel(host), tabindex: this.stopAt(host, 0) });
    const high = 22;
    set(row.lane, { width: this.width, height: high + 2 });
    const drawn = new Set();
    for (const bar of bars(host, this.scale, time)) {
      const key = bar.kind === "gap" ? `gap${bar.x | 0}` : bar.index;
      drawn.add(key);
      const cell = row.cells.get(key) ?? this.makeCell(row, key, bar);
      this.fillCell(cell, bar, host, high);
    }
    for (const [key, cell] of row.cells) {
      if (!drawn.has(key)) {
        cell.group.remove();
        row.cells.delete(key);
      }
    }
  }

  makeCell(row, key, bar) {
    const fill = s("rect", { class: "fill", rx: 3, y: 1 });
    const pattern = s("rect", { class: "pattern", rx: 3, y: 1 });
    const text = s("text", { y: 16.5 });
    const group = s("g", bar.kind === "gap" ? { "aria-hidden": "true" } : { role: "gridcell", "data-column": bar.index + 1 }, fill, pattern, text);
    row.lane.append(group);
    const cell = { group, fill, pattern, text };
    row.cells.set(key, cell);
    return cell;
  }

  fillCell(cell, bar, host, high) {
    const width = Math.max(1, bar.width);
    const box = { x: bar.x.toFixed(1), y: 1, width: width.toFixed(1), height: high };
    if (bar.kind === "gap") {
      set(cell.group, { class: "b b-gap" });
      set(cell.fill, { ...box, y: high / 2 - 2, height: 6 });
      set(cell.pattern, { ...box, y: high / 2 - 2, height: 6, fill: "url(#hatch)" });
      return;
    }
    const { step } = bar;
    const waits = step.status === "waiting" || (bar.kind === "step" && step.name.endsWith(".soak"));
    const pattern = waits ? "hatch" : PATTERN[step.status];
    set(cell.group, {
      class: `b b-${step.status} ${bar.kind === "ghost" ? "ghost" : ""} ${waits ? "waits" : ""}`,
      "aria-label": stepLabel(step),
      tabindex: this.stopAt(host, bar.index + 1),
    });
    set(cell.fill, bar.kind === "ghost" ? { ...box, y: 7, height: high - 12, rx: 2 } : { ...box, rx: 3 });
    set(cell.pattern, bar.kind === "ghost" || !pattern ? { ...box, fill: "none" } : { ...box, fill: `url(#${pattern})` });
    const glyph = STATUS[step.status].glyph;
    const name = shortName(step.name) + (step.attempts > 1 ? ` ×${step.attempts}` : "");
    const words = [`${glyph} ${name}`, glyph].find((one) => one.length * LETTER + 8 < width) ?? "";
    say(cell.text, bar.kind === "ghost" ? "" : words);
    set(cell.text, { x: (bar.x + 5).toFixed(1) });
  }

  drawAxis() {
    const { scale } = this;
    const shift = this.labels;
    set(this.axis, { width: shift + this.width, height: 26 });
    const parts = ticks(scale, this.narrow.matches ? 80 : 100).filter(({ x }) => x < (this.running ? scale.right : this.width) - 60 && !scale.breaks.some((cut) => x > cut.x - 110 && x < cut.x + 70)).map(({ x, time }) =>
      s("g", {}, s("line", { x1: shift + x, x2: shift + x, y1: 18, y2: 26 }), s("text", { x: shift + x + 4, y: 15 }, clock(time))),
    );
    for (const cut of scale.breaks) {
      parts.push(s("text", { class: "cut", x: shift + cut.x + cut.width / 2, y: 15, "text-anchor": "middle" }, `⋯ ${duration(cut.seconds)} ⋯`));
    }
    this.axis.replaceChildren(...parts);
    this.nowLine.hidden = !this.running;
    this.nowLine.style.transform = `translateX(${shift + scale.right}px)`;
  }

  stopAt(host, column) {
    return this.active.host === host.name && this.active.column === column ? 0 : -1;
  }

  place(target) {
    const cell = target.closest?.("[data-column]");
    const row = target.closest?.("[data-host]");
    return cell && row ? { host: row.dataset.host, column: Number(cell.dataset.column), cell } : null;
  }

  find(host, column) {
    const row = this.rows.get(host);
    return column === 0 ? row?.header : row?.cells.get(column - 1)?.group;
  }

  /** Scroll to a part of all rows: 0 is the first, 1 the last. */
  scrollTo(part) {
    const rows = this.hosts.length * this.height;
    this.element.scrollTop = part * rows - this.element.clientHeight / 2;
  }

  /** Move the focus to a step; column 0 is the host. */
  focusOn(host, column) {
    const index = this.shown.findIndex((one) => one.name === host);
    if (index < 0) return;
    this.active = { host, column: Math.min(column, this.shown[index].steps.length) };
    const above = index * this.height;
    const seen = this.element.clientHeight - 40;
    if (above < this.element.scrollTop) this.element.scrollTop = above;
    else if (above + this.height > this.element.scrollTop + seen) this.element.scrollTop = above + this.height - seen;
    this.render();
    const cell = this.find(host, this.active.column);
    cell?.focus({ preventScroll: true });
    cell?.scrollIntoView({ block: "nearest" });
  }

  onKey(event) {
    const at = this.place(event.target);
    if (!at || event.altKey || event.metaKey) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.open(at.host, at.column === 0 ? null : at.column - 1);
      return;
    }
    if (event.key === "Escape") this.tip.hide();
    const row = this.shown.findIndex((host) => host.name === at.host);
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.height) - 2);
    const next = cellAfter(event, { row, column: at.column }, this.shown.map((host) => host.steps.length), page);
    if (!next) return;
    event.preventDefault();
    this.focusOn(this.shown[next.row].name, next.column);
  }

  onClick(event) {
    const at = this.place(event.target);
    if (!at) return;
    this.active = { host: at.host, column: at.column };
    this.render();
    at.cell.focus({ preventScroll: true });
    this.tip.hide();
    this.open(at.host, at.column === 0 ? null : at.column - 1);
  }

  onFocus(target) {
    const at = this.place(target);
    if (!at) return;
    if (at.host !== this.active.host || at.column !== this.active.column) {
      this.active = { host: at.host, column: at.column };
      this.renderSoon();
    }
    if (target.matches(":focus-visible")) this.explain(at);
  }

  onPoint(event) {
    const at = event.pointerType === "touch" ? null : this.place(event.target);
    if (at) this.explain(at);
    else this.tip.hide();
  }

  explain(at) {
    const host = this.hosts.find((one) => one.name === at.host);
    const step = at.column === 0 ? null : host?.steps[at.column - 1];
    if (step) this.tip.show(at.cell, host, step);
    else this.tip.hide();
  }
}
