// What a job would do, before it is started.

import { post } from "./api.js";
import { h } from "./dom.js";

const SHOWN = 40; // hosts

/** Look at what an order would do: an element for the question; null: it could not be found out. */
export async function look(order) {
  let plan;
  try {
    plan = await post("/plan", order);
  } catch (problem) {
    if (problem.status === 0 || problem.status >= 500) return null;
    throw problem; // it could not be started either
  }
  const hosts = plan.hosts.slice(0, SHOWN);
  const left = plan.hosts.length - hosts.length;
  return h(
    "div",
    { class: "plan", tabindex: "0", role: "region", "aria-label": "What it would do now" },
    plan.problems.map((text) => h("p", { class: "problem" }, text)),
    plan.before.length ? part("Before all", plan.before) : null,
    hosts.flatMap((host) => part(host.name, host.steps)),
    left > 0 ? h("p", { class: "muted" }, `and ${left} more`) : null,
  );
}

function part(name, steps) {
  return [h("h3", {}, name), h("ol", {}, steps.map(step))];
}

function step(one) {
  const commands = one.commands.length ? h("pre", { tabindex: "0" }, one.commands.join("\n")) : null;
  return h("li", {}, h("strong", {}, one.name), " ", h("span", { class: "muted" }, one.summary), commands, one.note ? h("p", { class: "hint" }, one.note) : null);
}
