// The page: who is logged in, which view the address means, and what is the same in all of them.

import { get, health, logout, session as whoAmI } from "./api.js";
import { h, say, toast } from "./dom.js";
import { FleetView } from "./fleet.js";
import { FreezesView, sayFreeze } from "./freezes.js";
import { LeasesView } from "./leases.js";
import { NewView } from "./new.js";
import { RunView } from "./run.js";
import { RunsView } from "./runs.js";

const HEALTH = 10000; // milliseconds between two looks

let session = null;
let view = null;

const VIEWS = [
  [/^\/$/, () => new RunsView(session)],
  [/^\/runs\/(\d+)$/, (id) => new RunView(session, Number(id))],
  [/^\/leases$/, () => new LeasesView(session)],
  [/^\/freezes$/, () => new FreezesView(session, lookAtFreezes)],
  [/^\/fleet$/, () => new FleetView(session)],
  [/^\/new$/, () => new NewView(session, go)],
];

function go(path) {
  history.pushState(null, "", path);
  show(true);
}

/** Show what the address means. `moved`: somebody went there from another view. */
async function show(moved) {
  view?.stop();
  const main = document.getElementById("main");
  const path = location.pathname;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.getAttribute("href") === path || (link.getAttribute("href") === "/" && path.startsWith("/runs/"));
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const found = VIEWS.map(([pattern, make]) => [path.match(pattern), make]).find(([match]) => match);
  if (!found) {
    main.replaceChildren(h("div", { class: "view" }, h("h1", { tabindex: "-1" }, "There is no such page")));
    return;
  }
  const made = found[1](...found[0].slice(1));
  view = made;
  main.replaceChildren(made.element);
  if (moved) {
    scrollTo(0, 0);
    made.title.focus({ preventScroll: true });
  }
  try {
    await made.start();
  } catch (problem) {
    if (view === made) main.replaceChildren(h("div", { class: "view" }, h("h1", { tabindex: "-1" }, problem.status === 404 ? "Not found" : "That did not work"), h("p", { class: "notice s-failed" }, problem.message)));
  }
  if (view !== made) made.stop(); // it was left before it came
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-link]");
  if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
addEventListener("popstate", () => show(true));
addEventListener("unhandledrejection", (event) => toast(event.reason?.message ?? "Something went wrong.", "bad"));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});

async function look() {
  const found = await health();
  const shown = document.getElementById("health");
  const problems = found === null ? ["the server does not answer"] : [
    found.redis === "failed" && "Redis does not answer",
    found.database === "failed" && "the database does not answer",
    found.workers === 0 && "no worker is running",
    found.status === "degraded" && found.workers !== 0 && "nobody works on runs now",
  ].filter(Boolean);
  const state = found?.status ?? "failed";
  shown.className = `health health-${state}`;
  say(shown, problems.length ? problems.join(", ") : state === "ok" ? "all well" : state);
}

/** What is frozen is said over every view. */
async function lookAtFreezes() {
  const shown = document.getElementById("frozen");
  try {
    const { freezes } = await get("/freezes");
    say(shown, freezes.map((one) => `❄ ${sayFreeze(one)}`).join("\n"));
    shown.hidden = freezes.length === 0;
  } catch {
    // The next look will tell; that the server is away is said elsewhere.
  }
}

function lookAround() {
  if (document.hidden) return;
  look();
  lookAtFreezes();
}

async function begin() {
  session = await whoAmI();
  say(document.getElementById("who"), `${session.name} (${session.role})`);
  for (const link of document.querySelectorAll("[data-may]")) link.hidden = !session.may.includes(link.dataset.may);
  document.getElementById("logout").addEventListener("click", logout);
  look();
  lookAtFreezes();
  setInterval(lookAround, HEALTH);
  await show(false);
}

begin();
