// A run at a glance: a bar of progress, and a small picture of its time.

import { get } from "./api.js";
import { h, s } from "./dom.js";
import { STATUS, now, seconds } from "./format.js";
import { bars, makeScale, spans } from "./scale.js";

const SMALL = { rows: 14, row: 4, gap: 1, width: 260 };
const MOST = 8000; // steps of a run whose small picture is drawn
const WORST = ["failed", "running", "waiting", "rolled_back", "cancelled", "skipped", "succeeded", "pending"];
const AT_ONCE = 2; // requests for pictures

/** How much of a run is done. */
export function bar(run) {
  const { done, total } = run.progress;
  const part = total ? done / total : 0;
  return s(
    "svg",
    { class: `meter m-${run.status}`, viewBox: "0 0 100 6", preserveAspectRatio: "none", role: "img", "aria-label": `${done} of ${total} steps done` },
    s("rect", { class: "rail", width: 100, height: 6 }),
    s("rect", { class: "done", width: (part * 100).toFixed(2), height: 6 }),
  );
}

/** Choose as many hosts as there are rows; for several the one that matters most. */
function chosen(hosts, rows) {
  const every = Math.max(1, hosts.length / rows);
  const found = [];
  for (let at = 0; Math.round(at) < hosts.length; at += every) {
    const some = hosts.slice(Math.round(at), Math.max(Math.round(at) + 1, Math.round(at + every)));
    const rank = (host) => WORST.indexOf(host.status);
    found.push(some.reduce((worst, host) => (rank(host) < rank(worst) ? host : worst)));
  }
  return found;
}

/** Draw a run small: `rows` of `row` pixels each. */
export function picture(run, { rows, row: high, gap, width } = SMALL) {
  const hosts = chosen(run.hosts, rows);
  const time = now();
  const all = hosts.flatMap((host) => spans(host, time));
  const start = Math.min(...all.map((span) => span.from), seconds(run.started_at) ?? seconds(run.created_at));
  const end = Math.max(...all.map((span) => span.to), start + 1);
  const scale = makeScale(all, start, end, width - 2);
  const drawn = hosts.flatMap((host, row) =>
    bars(host, scale, time)
      .filter((one) => one.kind === "step")
      .map((one) => {
        const box = { x: one.x.toFixed(1), y: row * (high + gap), width: one.width.toFixed(1), height: high };
        const waits = one.step.status === "waiting" || one.step.name.endsWith(".soak");
        return s("g", { class: `b b-${one.step.status} ${waits ? "waits" : ""}` }, s("rect", { ...box, class: "fill" }), waits ? s("rect", { ...box, class: "pattern", fill: "url(#hatch)" }) : null);
      }),
  );
  const height = Math.max(high, hosts.length * (high + gap) - gap);
  return s("svg", { class: "mini", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `Picture of run ${run.id}, ${STATUS[run.status].label}` }, ...drawn);
}

const waiting = [];
let under = 0;
const kept = new Map();

/** Put a run's small picture into a place, when it is in sight; from the last one, if it has ended. */
export class Pictures {
  constructor() {
    this.observer = new IntersectionObserver((seen) => {
      for (const { isIntersecting, target } of seen) {
        if (isIntersecting) {
          this.observer.unobserve(target);
          queue(target);
        }
      }
    });
  }

  place(run) {
    const element = h("div", { class: "mini-place" });
    element.run = run;
    const before = kept.get(run.id);
    if (before) element.append(picture(before));
    if (run.progress.total <= MOST && (!before || run.ended_at === null || before.ended_at !== run.ended_at)) {
      this.observer.observe(element);
    }
    return element;
  }

  stop() {
    this.observer.disconnect();
    waiting.length = 0;
  }
}

function queue(element) {
  waiting.push(element);
  next();
}

async function next() {
  if (under >= AT_ONCE || waiting.length === 0) return;
  under += 1;
  const element = waiting.shift();
  try {
    const run = await get(`/runs/${element.run.id}`);
    kept.set(run.id, run);
    element.replaceChildren(picture(run));
  } catch {
    // A picture is not worth a message.
  }
  under -= 1;
  next();
}
