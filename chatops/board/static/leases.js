// Who holds what.

import { get, post } from "./api.js";
import { confirm } from "./dialog.js";
import { h, say, toast } from "./dom.js";
import { badge } from "./drawer.js";
import { ago, moment } from "./format.js";

const EVERY = 3000;

export class LeasesView {
  constructor(session) {
    this.may = session.may.includes("break lease");
    this.title = h("h1", { tabindex: "-1" }, "Leases");
    this.rows = h("tbody", {});
    const columns = ["Lease", "Run", "Asked for by", "Since", this.may ? h("span", { class: "sr" }, "Break") : null];
    this.table = h("table", { class: "stack" }, h("thead", {}, h("tr", {}, columns.filter(Boolean).map((name) => h("th", { scope: "col" }, name)))), this.rows);
    this.empty = h("p", { class: "empty" }, "Nobody holds a lease: every host is free.");
    this.element = h("div", { class: "view" }, this.title, h("p", { class: "muted lead" }, "The right to touch a host, a pair or a balancer. A run that failed half-way keeps its leases until somebody retries, skips, rolls back or aborts it."), this.table, this.empty);
  }

  async start() {
    document.title = "Leases · Winch";
    await this.load();
    this.timer = setInterval(() => !document.hidden && this.load(), EVERY);
  }

  stop() {
    clearInterval(this.timer);
  }

  async load() {
    let leases;
    try {
      ({ leases } = await get("/leases"));
    } catch (problem) {
      say(this.empty, problem.message);
      this.empty.hidden = false;
      return;
    }
    const key = JSON.stringify(leases);
    say(this.empty, "Nobody holds a lease: every host is free.");
    this.table.hidden = leases.length === 0;
    this.empty.hidden = leases.length > 0;
    if (key === this.key) return;
    this.key = key;
    this.rows.replaceChildren(...leases.map((lease) => this.row(lease)));
  }

  row(lease) {
    return h(
      "tr",
      {},
      h("th", { scope: "row", class: "mono" }, lease.name),
      h("td", { "data-label": "Run" }, h("a", { href: `/runs/${lease.run}`, "data-link": true }, `#${lease.run} ${lease.job} ${lease.target}`), " ", badge(lease.run_status), lease.host ? h("span", { class: "muted" }, ` for ${lease.host}`) : ""),
      h("td", { "data-label": "Asked for by" }, lease.requested_by),
      h("td", { "data-label": "Since", title: moment(lease.since) }, ago(lease.since)),
      this.may ? h("td", {}, h("button", { type: "button", class: "act bad", "aria-label": `Break ${lease.name}`, onclick: () => this.break(lease) }, "Break")) : null,
    );
  }

  async break(lease) {
    const reason = await confirm({
      title: `Break ${lease.name}?`,
      text: `Run ${lease.run} loses it, and its hosts refuse that run from then on. This is the last resort: to retry, skip or abort the run is better.`,
      yes: "Break it",
      bad: true,
      field: "Reason",
    });
    if (reason === null) return;
    try {
      await post(`/leases/${encodeURIComponent(lease.name)}/break`, { reason });
      toast(`${lease.name} is free.`, "good");
    } catch (problem) {
      toast(problem.message, "bad");
    }
    this.load();
  }
}
