// What is frozen: no job starts there, whoever asks.

import { get, post } from "./api.js";
import { confirm } from "./dialog.js";
import { h, say, toast } from "./dom.js";
import { ago, moment } from "./format.js";

const EVERY = 3000;
const NONE = "Nothing is frozen: jobs may start.";

const about = (scope) => (scope === "*" ? "everything" : scope);

/** Say a freeze in a line. */
export function sayFreeze(one) {
  return `${about(one.scope)} is frozen until ${moment(one.until)} by ${one.by}: ${one.reason}`;
}

/** What a field for a time holds, as the server takes it; null: nothing, or no time. */
export function whenIs(input) {
  const when = new Date(input.value);
  return input.value && !Number.isNaN(when.getTime()) ? when.toISOString().replace(/\.\d+Z$/, "Z") : null;
}

export class FreezesView {
  /** `changed()` is called when something was frozen or lifted. */
  constructor(session, changed) {
    this.may = session.may;
    this.changed = changed;
    this.title = h("h1", { tabindex: "-1" }, "Freezes");
    this.rows = h("tbody", {});
    const columns = ["Scope", "Until", "By", "Why", this.may.includes("unfreeze") ? h("span", { class: "sr" }, "Lift") : null];
    this.table = h("table", { class: "stack" }, h("thead", {}, h("tr", {}, columns.filter(Boolean).map((name) => h("th", { scope: "col" }, name)))), this.rows);
    this.empty = h("p", { class: "empty" }, NONE);
    this.element = h("div", { class: "view" }, this.title, h("p", { class: "muted lead" }, "No job starts in what is frozen, whoever asks and from wherever. Runs under way are not touched. A freeze ends by itself."), this.table, this.empty, this.may.includes("freeze") ? this.form() : null);
  }

  form() {
    this.scope = h("input", { id: "scope", type: "text", autocomplete: "off", spellcheck: "false", "aria-describedby": "scope-hint" });
    this.until = h("input", { id: "until", type: "datetime-local" });
    this.reason = h("input", { id: "reason", type: "text", maxlength: 500, autocomplete: "off" });
    this.problem = h("p", { class: "problem", role: "alert" });
    return h(
      "form",
      { class: "panel", novalidate: true, onsubmit: (event) => this.freeze(event) },
      h("h2", {}, "Freeze"),
      h("label", { for: "scope" }, "Scope"),
      this.scope,
      h("p", { id: "scope-hint", class: "hint" }, "pool:web, pair:*, nginx:edge, balancer:lb1. Empty: everything."),
      h("label", { for: "until" }, "Until"),
      this.until,
      h("label", { for: "reason" }, "Reason"),
      this.reason,
      this.problem,
      h("button", { type: "submit", class: "primary" }, "Freeze"),
    );
  }

  async start() {
    document.title = "Freezes · Winch";
    await this.load();
    this.timer = setInterval(() => !document.hidden && this.load(), EVERY);
  }

  stop() {
    clearInterval(this.timer);
  }

  async load() {
    let freezes;
    try {
      ({ freezes } = await get("/freezes"));
    } catch (problem) {
      say(this.empty, problem.message);
      this.empty.hidden = false;
      return;
    }
    say(this.empty, NONE);
    this.table.hidden = freezes.length === 0;
    this.empty.hidden = freezes.length > 0;
    const key = JSON.stringify(freezes);
    if (key === this.key) return;
    this.key = key;
    this.rows.replaceChildren(...freezes.map((one) => this.row(one)));
  }

  row(one) {
    return h(
      "tr",
      {},
      h("th", { scope: "row", class: "mono" }, about(one.scope)),
      h("td", { "data-label": "Until" }, moment(one.until)),
      h("td", { "data-label": "By", title: moment(one.since) }, `${one.by}, ${ago(one.since)}`),
      h("td", { "data-label": "Why" }, one.reason),
      this.may.includes("unfreeze") ? h("td", {}, h("button", { type: "button", class: "act bad", "aria-label": `Lift the freeze of ${about(one.scope)}`, onclick: () => this.lift(one) }, "Lift")) : null,
    );
  }

  async freeze(event) {
    event.preventDefault();
    const until = whenIs(this.until);
    const reason = this.reason.value.trim();
    say(this.problem, until === null ? "Until when?" : reason ? "" : "A reason is needed: whoever is stopped is told.");
    if (until === null || !reason) return;
    try {
      const made = await post("/freezes", { scope: this.scope.value.trim() || "*", until, reason });
      toast(made.caught ?? `${about(made.scope)} is frozen.`, made.caught ? "" : "good");
      this.reason.value = "";
    } catch (problem) {
      say(this.problem, problem.message);
    }
    this.load();
    this.changed();
  }

  async lift(one) {
    const sure = await confirm({ title: `Lift the freeze of ${about(one.scope)}?`, text: `Jobs may start again at once. It was made by ${one.by}: ${one.reason}`, yes: "Lift it", bad: true });
    if (!sure) return;
    try {
      await post("/freezes/lift", { scope: one.scope });
      toast(`${about(one.scope)} is not frozen any more.`, "good");
    } catch (problem) {
      toast(problem.message, "bad");
    }
    this.load();
    this.changed();
  }
}
