// What can be done to a run by whom, and how it is asked for. The server decides; this only offers.

import { post } from "./api.js";
import { confirm, overriding } from "./dialog.js";
import { announce, h, toast } from "./dom.js";
import { ACTIVE, count } from "./format.js";

const WORDS = {
  approve: { label: "Approve", kind: "good", text: "Nothing of what waits for an approval goes on before it. Your name is kept with it." },
  resume: { label: "Resume", kind: "good", text: "Hosts start again, as many at once as the plan allows." },
  retry: { label: "Retry", kind: "good", text: "Goes on at the step that failed. Hosts that were cancelled or rolled back start again." },
  pause: { label: "Pause", kind: "", text: "No further host starts. Those under way go on to their end, so that none is left out." },
  skip: { label: "Skip", kind: "", text: "The host stays as it is now, gives its leases back, and the run goes on with the others." },
  rollback: { label: "Roll back", kind: "bad", text: "Every host that this run has changed is put back as it was; those under way turn back when their step has ended." },
  abort: { label: "Abort", kind: "bad", text: "Nothing further starts, and steps under way stop between two commands. Hosts stay as they are: some may be out of rotation." },
};

const AGAIN = new Set(["failed", "cancelled", "rolled_back"]);
const SKIPPABLE = new Set(["pending", "waiting", "failed", "cancelled"]);

/** What the state of a run allows: names of actions about the whole run. */
export function possible(run) {
  const active = ACTIVE.has(run.status);
  const hosts = run.hosts ?? [];
  const some = (test) => hosts.some(test);
  const found = [];
  if (run.approval?.needed || some((host) => host.waiting_for === "approval")) found.push("approve");
  if (run.status === "paused") found.push("resume");
  if (some((host) => AGAIN.has(host.status))) found.push("retry");
  if (active && run.status !== "paused") found.push("pause");
  if (run.status !== "rolled_back" && some((host) => host.steps.some((step) => step.changed))) found.push("rollback");
  if (active || run.status === "failed") found.push("abort");
  return found;
}

/** What the state of one host allows. */
export function possibleFor(run, host) {
  const found = [];
  if (AGAIN.has(host.status)) found.push("retry");
  if (SKIPPABLE.has(host.status) && !run.approval?.needed) found.push("skip");
  return found;
}

/** Why the asker's role does not suffice for an approval; null: it does, as far as we know. */
export function whyNotApprove(run, session) {
  if (!run.approval?.needed) return null;
  if (session.name === run.requested_by) return "You have asked for this run; another person has to approve it.";
  if (run.approval.role === "admin" && session.role !== "admin") return "It takes an admin to approve this run.";
  return null;
}

/** A button that asks before it acts; `after()` is called when the server has answered. */
export function button(action, run, host, after, session) {
  const words = WORDS[action];
  const label = host === null ? words.label : `${words.label} ${host.name}`;
  return h(
    "button",
    { type: "button", class: `act ${words.kind}`, "data-action": action, onclick: () => ask(action, run, host, after, session) },
    label,
  );
}

async function ask(action, run, host, after, session) {
  const words = WORDS[action];
  const about = host === null ? `run ${run.id}, ${run.job} ${run.target}` : `${host.name} in run ${run.id}`;
  const sure = await confirm({
    title: `${words.label}: ${about}?`,
    text: words.text,
    yes: words.label,
    bad: words.kind === "bad",
  });
  if (!sure) return;
  const body = host === null ? {} : action === "skip" ? { host: host.name } : { hosts: [host.name] };
  try {
    const answer = await overriding(session, (override) => {
      const all = { ...body, ...override };
      return post(`/runs/${run.id}/${action}`, Object.keys(all).length ? all : undefined);
    });
    const hosts = answer.hosts.length > 3 ? count(answer.hosts.length, "host") : answer.hosts.join(", ");
    toast(`${words.label}: done${hosts ? ` (${hosts})` : ""}.`, "good");
    after();
  } catch (problem) {
    toast(problem.message, "bad");
    announce(problem.message);
    after();
  }
}
