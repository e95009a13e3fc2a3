// The remote commands of a run, with what they said.

import { get } from "./api.js";
import { h, say } from "./dom.js";
import { clock, count, duration, seconds } from "./format.js";

const EVERY = 2000; // milliseconds between two looks at a run that goes on
const PAGE = 200;

/** A list of commands that grows: all of a run, of one host, or of one step of it. */
export class Logs {
  constructor(run, host, step, goesOn) {
    this.path = `/runs/${run}/logs?limit=${PAGE}${host === null ? "" : `&host=${encodeURIComponent(host)}`}`;
    this.step = step;
    this.goesOn = goesOn;
    this.cursor = null;
    this.shown = 0;
    this.list = h("ol", { class: "logs" });
    this.state = h("p", { class: "hint", role: "status" }, "Loading …");
    this.more = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.load() }, "More");
    this.element = h("div", {}, this.list, this.more, this.state);
    this.stopped = false;
    this.load();
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  async load() {
    let page;
    try {
      page = await get(this.path + (this.cursor === null ? "" : `&cursor=${this.cursor}`));
    } catch (problem) {
      say(this.state, problem.message);
      return;
    }
    if (this.stopped) return;
    for (const command of page.commands) {
      this.cursor = command.id;
      if (this.step !== null && command.step !== this.step) continue;
      this.list.append(entry(command));
      this.shown += 1;
    }
    this.more.hidden = page.next === null;
    const going = this.goesOn() && page.next === null;
    const all = this.shown ? count(this.shown, "command") : "No command has run";
    say(this.state, page.next !== null ? `${all} so far` : going ? `${all} so far; more may come.` : `${all}.`);
    if (going) this.timer = setTimeout(() => this.load(), EVERY);
  }
}

function entry(command) {
  const failed = command.exit_code !== 0;
  const exit = command.exit_code === null ? "no exit code" : `exit ${command.exit_code}`;
  const meta = [clock(seconds(command.at)), command.step, `on ${command.on}`, duration(command.seconds)];
  if (command.attempt > 1) meta.push(`attempt ${command.attempt}`);
  if (command.times > 1) meta.push(`${command.times} times`);
  const said = [command.stdout, command.stderr].filter(Boolean);
  return h(
    "li",
    { class: failed ? "log odd" : "log" },
    h("p", { class: "log-meta" }, meta.join(" · "), " ", h("span", { class: failed ? "exit bad" : "exit" }, exit), command.changes ? h("span", { class: "mark" }, "changes") : null),
    h("pre", { class: "cmd", tabindex: "0", "aria-label": "Command" }, command.command),
    said.length === 0
      ? null
      : h(
          "details",
          { open: failed && command.stderr !== "" },
          h("summary", {}, "What it said"),
          command.stdout ? h("pre", { tabindex: "0", "aria-label": "Standard output" }, command.stdout) : null,
          command.stderr ? h("pre", { class: "err", tabindex: "0", "aria-label": "Standard error" }, command.stderr) : null,
        ),
  );
}
