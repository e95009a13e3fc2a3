// Ask for a job.

import { get, post } from "./api.js";
import { confirm, overriding } from "./dialog.js";
import { h } from "./dom.js";
import { whenIs } from "./freezes.js";
import { look } from "./plan.js";

const SECTIONS = { pools: (fleet) => fleet.pools.map((one) => one.name), pairs: (fleet) => fleet.pairs.map((one) => one.name), nginx: (fleet) => fleet.nginx.map((one) => one.name), balancers: (fleet) => fleet.balancers };

export class NewView {
  constructor(session, go) {
    this.session = session;
    this.go = go;
    this.key = crypto.randomUUID?.() ?? String(Date.now() + Math.random()); // no randomUUID without TLS
    this.title = h("h1", { tabindex: "-1" }, "Start a job");
    this.form = h("div", {});
    this.element = h("div", { class: "view narrow" }, this.title, this.form);
  }

  async start() {
    document.title = "Start a job · Winch";
    if (!this.session.may.includes("start")) {
      this.form.append(h("p", { class: "notice" }, "It takes the role operator to start a job."));
      return;
    }
    try {
      this.fleet = await get("/fleet");
    } catch (problem) {
      this.form.append(h("p", { class: "notice s-failed" }, problem.message));
      return;
    }
    this.build();
  }

  stop() {}

  build() {
    const jobs = this.session.jobs.filter((job) => SECTIONS[job.target]?.(this.fleet).length);
    const field = (id, label, input, hint) => [h("label", { for: id }, label), input, hint ? h("p", { id: `${id}-hint`, class: "hint" }, hint) : null];
    const text = (id, more = {}) => h("input", { id, type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: "false", "aria-describedby": `${id}-hint`, ...more });
    this.job = h("select", { id: "job", "aria-describedby": "job-hint", onchange: () => this.onJob() }, jobs.map((job) => h("option", { value: job.name }, job.name)));
    this.summary = h("p", { id: "job-hint", class: "hint" });
    this.target = h("select", { id: "target" });
    this.hosts = text("hosts");
    this.vars = h("textarea", { id: "vars", rows: 3, spellcheck: "false", "aria-describedby": "vars-hint" });
    this.unavailable = text("unavailable");
    this.stages = text("stages");
    this.at = h("input", { id: "at", type: "datetime-local", "aria-describedby": "at-hint" });
    this.reason = text("reason", { maxlength: 500 });
    this.submit = h("button", { type: "submit", class: "primary" }, "Start …");
    this.problem = h("p", { class: "problem", role: "alert" });
    this.form.append(
      h(
        "form",
        { class: "panel", novalidate: true, onsubmit: (event) => this.onSubmit(event) },
        h("label", { for: "job" }, "Job"),
        this.job,
        this.summary,
        field("target", "Target", this.target),
        field("hosts", "Hosts", this.hosts, "Names with commas between them. Empty: all of the target."),
        field("vars", "Variables", this.vars, "One KEY=VALUE a line, such as version=1.26.3"),
        field("unavailable", "At once", this.unavailable, "How many hosts may be out at the same time: 2 or 25%. Empty: as the fleet file says."),
        field("stages", "Stages", this.stages, "So many first, then so many in all: 1, 25%, 100%"),
        field("at", "Start at", this.at, "Empty: now, or when its window opens."),
        field("reason", "Reason", this.reason, "Kept with the run."),
        this.problem,
        this.submit,
      ),
    );
    this.onJob();
  }

  chosen() {
    return this.session.jobs.find((job) => job.name === this.job.value);
  }

  onJob() {
    const job = this.chosen();
    this.summary.textContent = job?.summary ?? "The fleet file names nothing to do this to.";
    this.target.replaceChildren(...(job ? SECTIONS[job.target](this.fleet) : []).map((name) => h("option", { value: name }, name)));
  }

  /** What is to be sent; null: something cannot be meant, and was said. */
  order() {
    const words = (input) => input.value.split(",").map((word) => word.trim()).filter(Boolean);
    const vars = {};
    for (const line of this.vars.value.split("\n").map((one) => one.trim()).filter(Boolean)) {
      const at = line.indexOf("=");
      if (at < 1) {
        this.complain(`“${line}” is not KEY=VALUE.`, this.vars);
        return null;
      }
      vars[line.slice(0, at).trim()] = line.slice(at + 1).trim();
    }
    const hosts = words(this.hosts);
    if (this.chosen()?.needs_hosts && hosts.length === 0) {
      this.complain("This job takes the names of hosts.", this.hosts);
      return null;
    }
    const stages = words(this.stages);
    return {
      job: this.job.value,
      target: this.target.value,
      hosts,
      options: { vars, max_unavailable: this.unavailable.value.trim() || null, stages: stages.length ? stages : null, at: whenIs(this.at) },
      reason: this.reason.value.trim() || null,
    };
  }

  complain(text, field) {
    this.problem.textContent = text;
    field?.focus();
  }

  async onSubmit(event) {
    event.preventDefault();
    this.problem.textContent = "";
    const order = this.order();
    if (order === null) return;
    try {
      const more = await this.preview(order);
      const about = order.hosts.length ? order.hosts.join(", ") : "all of its hosts";
      const vars = Object.entries(order.options.vars).map(([key, value]) => `${key} ${value}`).join(", ");
      const unseen = more === null ? " What it would do could not be found out now." : "";
      const sure = await confirm({ title: `Start ${order.job} ${order.target}?`, text: `It is about ${about}${vars ? `, with ${vars}` : ""}.${unseen}`, yes: "Start it", more });
      if (!sure) return;
      const run = await overriding(this.session, (override) => this.send(order, override));
      this.go(`/runs/${run.id}`);
    } catch (problem) {
      this.complain(problem.message, null);
    }
  }

  /** Look at the hosts, which takes a moment. */
  async preview(order) {
    this.submit.disabled = true;
    this.submit.textContent = "Looking at the hosts …";
    try {
      return await look(order);
    } finally {
      this.submit.disabled = false;
      this.submit.textContent = "Start …";
    }
  }

  /** The same order sent twice starts one run; a changed one is another order. */
  send(order, { override_freeze = false, reason = order.reason }) {
    const all = { ...order, options: { ...order.options, override_freeze }, reason };
    return post("/runs", all, { "Idempotency-Key": `${this.key}-${digest(JSON.stringify(all))}` });
  }
}

/** A short name for a text. */
function digest(text) {
  let sum = 0;
  for (const letter of text) sum = (Math.imul(sum, 31) + letter.codePointAt(0)) >>> 0;
  return sum.toString(16);
}
