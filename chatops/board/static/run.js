// One run.

import { button, possible, whyNotApprove } from "./actions.js";
import { get } from "./api.js";
import { announce, h, say } from "./dom.js";
import { Drawer, badge, facts } from "./drawer.js";
import { ACTIVE, STATUS, count, duration, moment, seconds } from "./format.js";
import { Watch } from "./live.js";
import { bar, picture } from "./mini.js";
import { Timeline } from "./timeline.js";

const ORDER = ["failed", "running", "waiting", "pending", "rolled_back", "cancelled", "skipped", "succeeded"];
const LARGE = 60; // hosts from which on a picture of all of them stands above the rows
const OVERVIEW = { rows: 70, row: 2, gap: 0, width: 1200 };
const LOOK = 5000; // milliseconds between two looks at a run that has ended: it may be retried

export class RunView {
  constructor(session, id) {
    this.session = session;
    this.id = id;
    this.wanted = null; // the status that the filter lets through
    this.places = new Map();
    this.title = h("h1", { tabindex: "-1" }, `Run ${id}`);
    this.state = h("span", {});
    this.notice = h("p", { class: "notice", role: "status", hidden: true });
    this.acts = h("div", { class: "row acts", role: "group", "aria-label": "Steer this run" });
    this.about = h("div", {});
    this.progress = h("div", { class: "progress" });
    this.chips = h("div", { class: "row chips", role: "group", "aria-label": "Show only hosts that are" });
    this.search = h("input", { type: "search", id: "find-host", placeholder: "Find a host", autocomplete: "off", oninput: () => this.draw() });
    this.timeline = new Timeline((host, index) => this.drawer.open(host, index));
    this.overview = h("div", { class: "overview", hidden: true, onclick: (event) => this.jump(event) });
    this.empty = h("p", { class: "empty", hidden: true }, "No host is like that.");
    this.drawer = new Drawer(this);
    this.after = () => this.goOn();
    this.element = h(
      "div",
      { class: "view" },
      h("div", { class: "row between top" }, h("div", { class: "row" }, this.title, this.state), this.acts),
      this.notice,
      this.about,
      this.progress,
      h("div", { class: "row between tools" }, this.chips, h("div", { class: "row" }, h("label", { class: "sr", for: "find-host" }, "Find a host"), this.search, h("button", { type: "button", onclick: () => this.drawer.open(null, null) }, "All logs"))),
      this.overview,
      this.timeline.element,
      this.empty,
      legend(),
      this.drawer.element,
    );
  }

  async start() {
    this.take(await get(`/runs/${this.id}`));
    this.watch = new Watch(this.id, {
      onSnapshot: (run) => this.take(run),
      onHost: (host) => this.takeHost(host),
      onRun: (run) => this.take({ ...run, hosts: this.run.hosts }),
      onEnd: () => this.refresh(),
      onState: (live) => this.offline(!live),
    });
    this.timer = setInterval(() => this.lookAgain(), LOOK);
  }

  stop() {
    clearInterval(this.timer);
    cancelAnimationFrame(this.frame);
    this.watch?.stop();
    this.timeline.stop();
    this.drawer.stop();
    this.offline(false);
  }

  offline(yes) {
    const shown = document.getElementById("offline");
    shown.hidden = !yes;
    say(shown, yes ? "The connection is lost; what you see may be old. Trying again …" : "");
  }

  /** Look at a run that has ended. What comes late must not hide what the stream has said since. */
  async refresh() {
    const { streams } = this.watch;
    try {
      const run = await get(`/runs/${this.id}`);
      if (this.watch.ended && this.watch.streams === streams) this.take(run);
    } catch {
      // What is shown stays; the next look comes.
    }
  }

  async lookAgain() {
    if (document.hidden || !this.watch?.ended) return;
    await this.refresh();
    if (ACTIVE.has(this.run.status)) this.goOn();
  }

  /** A run that had ended goes on, or may do. A live stream says by itself what has changed. */
  goOn() {
    if (this.watch.ended) this.watch.again();
  }

  host(name) {
    const at = this.places.get(name);
    return at === undefined ? null : this.run.hosts[at];
  }

  back(name, index) {
    if (name !== null) this.timeline.focusOn(name, index === null ? 0 : index + 1);
    else this.title.focus();
  }

  flower(task) {
    const base = this.session.flower;
    return task && base && /^https?:\/\//.test(base) ? `${base}/task/${encodeURIComponent(task)}` : null;
  }

  take(run) {
    const before = this.run?.status;
    this.run = run;
    this.places = new Map(run.hosts.map((host, index) => [host.name, index]));
    if (before !== undefined && before !== run.status) announce(`Run ${run.id} is ${STATUS[run.status].label}.`);
    this.draw();
  }

  takeHost(host) {
    const at = this.places.get(host.name);
    if (at === undefined) return;
    const before = this.run.hosts[at].status;
    this.run.hosts[at] = host;
    if (before !== host.status && host.status === "failed") announce(`${host.name} failed: ${host.detail ?? ""}`);
    this.draw();
  }

  /** Draw it at the next frame, however much has come until then. */
  draw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.drawNow();
    });
  }

  drawNow() {
    const { run } = this;
    const { label, glyph } = STATUS[run.status];
    document.title = `${glyph} ${label} · ${run.job} ${run.target} · run ${run.id} · Winch`;
    say(this.title, `${run.job} ${run.target}`);
    if (this.state.dataset.status !== run.status) {
      this.state.dataset.status = run.status;
      this.state.replaceChildren(badge(run.status));
    }
    this.drawNotice();
    this.drawActs();
    this.drawAbout();
    this.progress.replaceChildren(bar(run), h("span", { class: "muted" }, `${run.progress.done} of ${count(run.progress.total, "step")}`));
    const shown = this.drawChips();
    this.empty.hidden = shown.length > 0 || run.hosts.length === 0;
    this.drawOverview();
    this.timeline.show(run, run.hosts, shown);
    this.drawer.update();
  }

  /** All hosts of a large run at once; a click leads there. */
  drawOverview() {
    this.overview.hidden = this.run.hosts.length < LARGE;
    if (this.overview.hidden || Date.now() - (this.overviewAt ?? 0) < 2000) return;
    this.overviewAt = Date.now();
    const drawn = picture(this.run, OVERVIEW);
    drawn.setAttribute("preserveAspectRatio", "none");
    this.overview.replaceChildren(drawn);
  }

  jump(event) {
    const box = this.overview.getBoundingClientRect();
    const part = (event.clientY - box.top) / box.height;
    this.choose(null);
    this.search.value = "";
    this.timeline.scrollTo(part);
  }

  drawNotice() {
    const { run } = this;
    const why = this.session.may.includes("approve") ? whyNotApprove(run, this.session) : null;
    const text = [run.detail, why].filter(Boolean).join(" ");
    this.notice.hidden = !text;
    this.notice.className = `notice s-${run.status}`;
    say(this.notice, text);
  }

  drawActs() {
    const refused = whyNotApprove(this.run, this.session) !== null;
    const found = possible(this.run).filter((action) => this.session.may.includes(action) && !(action === "approve" && refused));
    const key = found.join();
    if (this.acts.dataset.key === key) return;
    this.acts.dataset.key = key;
    const focused = document.activeElement?.dataset?.action;
    this.acts.replaceChildren(...found.map((action) => h("span", {}, button(action, { ...this.run, id: this.id }, null, this.after, this.session))));
    this.acts.hidden = found.length === 0;
    if (focused) (this.acts.querySelector(`[data-action="${focused}"]`) ?? this.title).focus();
  }

  drawAbout() {
    const { run } = this;
    const from = seconds(run.started_at);
    const to = seconds(run.ended_at);
    const pairs = [
      ["Run", `${run.id}`],
      ["Asked for by", run.requested_by],
      ["Reason", run.reason],
      ["Asked", moment(run.created_at)],
      ["Starts", run.start_at && moment(run.start_at)],
      ["Ended", run.ended_at && moment(run.ended_at)],
      ["Took", from === null || to === null ? null : duration(to - from)],
      ["Approved by", run.approval?.approved_by],
      ["Exit code", run.exit_code],
      ...Object.entries(run.vars),
    ];
    const key = JSON.stringify(pairs);
    if (this.about.dataset.key === key) return;
    this.about.dataset.key = key;
    this.about.replaceChildren(facts(pairs));
  }

  drawChips() {
    const counts = new Map();
    for (const host of this.run.hosts) counts.set(host.status, (counts.get(host.status) ?? 0) + 1);
    if (this.wanted !== null && !counts.has(this.wanted)) this.wanted = null;
    const key = JSON.stringify([[...counts].sort(), this.wanted]);
    if (this.chips.dataset.key !== key) {
      this.chips.dataset.key = key;
      const focused = this.chips.contains(document.activeElement) ? document.activeElement.dataset.status : null;
      const chip = (status, text) =>
        h("button", { type: "button", class: `chip ${status ?? "all"}`, "data-status": status ?? "", "aria-pressed": String(this.wanted === status), onclick: () => this.choose(status) }, text);
      this.chips.replaceChildren(
        chip(null, `all ${this.run.hosts.length}`),
        ...ORDER.filter((status) => counts.has(status)).map((status) => chip(status, `${STATUS[status].glyph} ${STATUS[status].label} ${counts.get(status)}`)),
      );
      if (focused !== null) this.chips.querySelector(`[data-status="${focused}"]`)?.focus();
    }
    const text = this.search.value.trim().toLowerCase();
    return this.run.hosts.filter((host) => (this.wanted === null || host.status === this.wanted) && host.name.toLowerCase().includes(text));
  }

  choose(status) {
    this.wanted = status;
    this.draw();
  }
}

function legend() {
  const kinds = ["running", "waiting", "succeeded", "failed", "rolled_back", "skipped"];
  return h("p", { class: "legend muted" }, "A row is a host, a bar is a step, hatched is waiting, a thin outline has not begun. Arrow keys walk through the picture; Enter opens a step. ", kinds.map((kind) => [badge(kind), " "]).flat());
}

