// Runs now and before.

import { get } from "./api.js";
import { h, say } from "./dom.js";
import { badge } from "./drawer.js";
import { ACTIVE, ago, count, duration, moment, now, seconds } from "./format.js";
import { Pictures, bar } from "./mini.js";

const EVERY = 3000; // milliseconds between two looks
const PAGE = 30;

export class RunsView {
  constructor(session) {
    this.session = session;
    this.older = []; // pages behind the first one
    this.cursor = null;
    this.cards = new Map();
    this.pictures = new Pictures();
    this.title = h("h1", { tabindex: "-1" }, "Runs");
    this.nowList = h("ol", { class: "runs" });
    this.noneNow = h("p", { class: "empty" }, "Nothing runs now.");
    this.beforeList = h("ol", { class: "runs" });
    this.noneBefore = h("p", { class: "empty", hidden: true }, "Nothing has run yet. ", h("code", {}, "winch roll POOL"), " starts something.");
    this.more = h("button", { type: "button", hidden: true, onclick: () => this.loadMore() }, "Older runs");
    this.problem = h("p", { class: "notice s-failed", role: "status", hidden: true });
    this.element = h(
      "div",
      { class: "view" },
      this.title,
      this.problem,
      h("section", { "aria-labelledby": "now" }, h("h2", { id: "now" }, "Now"), this.nowList, this.noneNow),
      h("section", { "aria-labelledby": "before" }, h("h2", { id: "before" }, "Before"), this.beforeList, this.noneBefore, this.more),
    );
  }

  async start() {
    document.title = "Runs · Winch";
    await this.load();
    this.timer = setInterval(() => !document.hidden && this.load(), EVERY);
    this.onVisible = () => !document.hidden && this.load();
    document.addEventListener("visibilitychange", this.onVisible);
  }

  stop() {
    clearInterval(this.timer);
    document.removeEventListener("visibilitychange", this.onVisible);
    this.pictures.stop();
  }

  async load() {
    try {
      const page = await get(`/runs?limit=${PAGE}`);
      this.first = page.runs;
      if (this.cursor === null) this.cursor = page.next;
      this.problem.hidden = true;
      this.draw();
    } catch (problem) {
      this.problem.hidden = false;
      say(this.problem, problem.message);
    }
  }

  async loadMore() {
    const page = await get(`/runs?limit=${PAGE}&cursor=${this.cursor}`);
    this.older.push(...page.runs);
    this.cursor = page.next;
    this.draw();
  }

  draw() {
    const known = new Map();
    for (const run of [...this.first, ...this.older]) if (!known.has(run.id)) known.set(run.id, run);
    const runs = [...known.values()].sort((a, b) => b.id - a.id);
    const active = runs.filter((run) => ACTIVE.has(run.status));
    const ended = runs.filter((run) => !ACTIVE.has(run.status));
    this.fill(this.nowList, active);
    this.fill(this.beforeList, ended);
    this.noneNow.hidden = active.length > 0;
    this.noneBefore.hidden = ended.length > 0;
    this.more.hidden = this.cursor === null;
  }

  fill(list, runs) {
    const wanted = runs.map((run) => this.card(run));
    for (const old of [...list.children]) if (!wanted.includes(old)) old.remove();
    wanted.forEach((card, index) => {
      if (list.children[index] !== card) list.insertBefore(card, list.children[index] ?? null);
    });
  }

  /** The card of a run; the same one again while it stays the same, so that the focus stays. */
  card(run) {
    const from = seconds(run.started_at) ?? seconds(run.created_at);
    const took = duration((seconds(run.ended_at) ?? now()) - from);
    const meta = [ago(run.created_at), run.requested_by, run.reason].filter(Boolean).join(" · ");
    let card = this.cards.get(run.id);
    if (!card) {
      const state = h("span", {});
      const small = h("span", { class: "muted" });
      const said = h("p", { class: "muted detail" });
      const meter = h("div", { class: "progress" });
      const mini = h("div", {});
      const vars = Object.entries(run.vars).map(([key, value]) => h("span", { class: "var" }, `${key} ${value}`));
      const link = h("a", { href: `/runs/${run.id}`, "data-link": true, class: "run-link" }, h("span", { class: "muted" }, `#${run.id} `), `${run.job} ${run.target}`);
      const element = h("li", { class: "card" }, h("div", { class: "run-text" }, h("div", { class: "row" }, link, state, vars), small, said, meter), mini);
      card = { element, state, small, said, meter, mini, key: "", drawn: 0 };
      this.cards.set(run.id, card);
    }
    const later = run.start_at && run.started_at === null ? `starts ${moment(run.start_at)}` : null;
    say(card.small, `${meta} · ${later ?? (ACTIVE.has(run.status) ? `for ${took}` : `took ${took}`)}`);
    const key = JSON.stringify([run.status, run.progress, run.detail, run.ended_at]);
    // The picture of a large run is a large answer: it is asked for less often.
    const old = Math.max(2 * EVERY, 10 * run.progress.total);
    const stale = ACTIVE.has(run.status) && Date.now() - card.drawn > old;
    if (card.key !== key || stale) {
      if (card.key !== key) {
        card.state.replaceChildren(badge(run.status));
        say(card.said, run.detail ?? "");
        card.meter.replaceChildren(bar(run), h("span", { class: "muted" }, `${run.progress.done} of ${count(run.progress.total, "step")}`));
      }
      if (stale || card.drawn === 0 || run.progress.total < 400 || run.ended_at !== null) {
        card.mini.replaceChildren(this.pictures.place(run));
        card.drawn = Date.now();
      }
      card.key = key;
    }
    return card.element;
  }
}
