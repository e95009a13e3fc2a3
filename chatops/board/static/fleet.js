// The fleet, and what each host runs.

import { get } from "./api.js";
import { h, say } from "./dom.js";
import { badge } from "./drawer.js";
import { ago, count } from "./format.js";

const FIRST = 150; // rows at first

export class FleetView {
  constructor() {
    this.all = false;
    this.title = h("h1", { tabindex: "-1" }, "Fleet");
    this.groups = h("div", { class: "groups" });
    this.search = h("input", { type: "search", id: "find", placeholder: "Name, address, group, version", autocomplete: "off", oninput: () => this.draw() });
    this.rows = h("tbody", {});
    this.state = h("p", { class: "muted", role: "status" });
    this.more = h("button", { type: "button", hidden: true, onclick: () => this.showAll() });
    const columns = ["Host", "Address", "Part of", "Runs", "By"];
    this.table = h("table", { class: "stack" }, h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name)))), this.rows);
    this.element = h(
      "div",
      { class: "view" },
      this.title,
      this.groups,
      h("div", { class: "row between tools" }, h("div", { class: "row" }, h("label", { for: "find" }, "Find"), this.search), this.state),
      this.table,
      this.more,
    );
  }

  async start() {
    document.title = "Fleet · Winch";
    try {
      this.fleet = await get("/fleet");
    } catch (problem) {
      this.groups.replaceChildren(h("p", { class: "notice s-failed" }, problem.message));
      this.table.hidden = true;
      return;
    }
    this.drawGroups();
    this.draw();
  }

  stop() {}

  drawGroups() {
    const { pools, pairs, nginx } = this.fleet;
    const card = (kind, name, lines) => h("li", { class: "card group" }, h("h2", {}, h("span", { class: "muted" }, `${kind} `), name), lines.filter(Boolean).map((line) => h("p", { class: "muted" }, line)));
    const some = (names) => (names.length > 6 ? `${names.slice(0, 5).join(", ")} and ${names.length - 5} more` : names.join(", "));
    this.groups.replaceChildren(
      h(
        "ul",
        { class: "cards" },
        pools.map((pool) => card("pool", pool.name, [`${count(pool.servers.length, "server")}: ${some(pool.servers)}`, `behind ${pool.balancers.join(", ")}, backend ${pool.backends.join(", ")}`, pool.redeploy && `redeployed by ${pool.redeploy}`])),
        pairs.map((pair) => card("pair", pair.name, [pair.members.join(" and "), `hold ${pair.addresses.join(", ")}`])),
        nginx.map((group) => card("nginx", group.name, [`${count(group.hosts.length, "host")}: ${some(group.hosts)}`])),
      ),
    );
  }

  showAll() {
    this.all = true;
    this.draw();
  }

  draw() {
    const words = this.search.value.trim().toLowerCase().split(/\s+/);
    const found = this.fleet.hosts.filter((host) => {
      const text = [host.name, host.address, host.site, ...parts(host), ...Object.values(host.last?.vars ?? {})].join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const shown = this.all ? found : found.slice(0, FIRST);
    this.rows.replaceChildren(...shown.map(row));
    this.more.hidden = shown.length === found.length;
    say(this.more, `Show all ${found.length}`);
    say(this.state, found.length === this.fleet.hosts.length ? count(found.length, "host") : `${found.length} of ${count(this.fleet.hosts.length, "host")}`);
  }
}

function parts(host) {
  return [...host.pools.map((name) => `pool ${name}`), ...host.pairs.map((name) => `pair ${name}`), ...host.nginx.map((name) => `nginx ${name}`), ...(host.balancer ? ["balancer"] : [])];
}

function row(host) {
  const { last } = host;
  const vars = Object.entries(last?.vars ?? {}).map(([key, value]) => h("span", { class: "var" }, `${key} ${value}`));
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "mono" }, host.name),
    h("td", { "data-label": "Address", class: "mono" }, host.address, host.site ? h("span", { class: "muted" }, ` ${host.site}`) : ""),
    h("td", { "data-label": "Part of" }, parts(host).map((part) => h("span", { class: "tag" }, part))),
    h("td", { "data-label": "Runs" }, vars.length ? vars : h("span", { class: "muted" }, last ? "no version said" : "untouched by Winch")),
    h("td", { "data-label": "By" }, last ? [h("a", { href: `/runs/${last.run}`, "data-link": true }, `#${last.run} ${last.job}`), " ", badge(last.status), last.ended_at ? h("span", { class: "muted" }, ` ${ago(last.ended_at)}`) : ""] : h("span", { class: "muted" }, "–")),
  );
}
