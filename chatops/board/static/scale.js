// The picture's time: what is drawn where. Pure functions, without a document.

import { seconds } from "./format.js";

const SMALLEST = 4; // pixels of the shortest bar
const BREAK = 26; // pixels of a cut in the time
const GHOST = 9; // pixels of a step that has not begun
const GHOSTS = 10; // at most, of one host

const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];

/** Whether a step waits all the while that it takes. */
export function isWait(step) {
  return step.status === "waiting" || step.name.endsWith(".soak");
}

/**
 * When each step of a host ran, in seconds. The times of a run are whole seconds, so a step begins
 * no earlier than the one before it has ended.
 */
export function spans(host, now) {
  const found = [];
  let end = 0;
  host.steps.forEach((step, index) => {
    let started = seconds(step.started_at);
    if (started === null && step.status === "waiting") started = seconds(host.waiting_since);
    if (started === null) return;
    const from = Math.max(started, end);
    const to = step.ended_at === null ? Math.max(now, from) : from + (step.seconds ?? 0);
    if (end && from - end >= 1.5) found.push({ gap: true, from: end, to: from });
    found.push({ index, step, from, to });
    end = to;
  });
  return found;
}

function merged(intervals) {
  const sorted = intervals.filter(([a, b]) => b >= a).sort((a, b) => a[0] - b[0]);
  const found = [];
  for (const [from, to] of sorted) {
    const last = found.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else found.push([from, to]);
  }
  return found;
}

/**
 * Make the scale of a run: hours in which nothing but waiting happens are cut short.
 * Returns {x(t), breaks, start, end, right}; `right`: where now is, in pixels.
 */
export function makeScale(all, start, end, width) {
  const busy = merged(
    all.filter((span) => !span.gap && !isWait(span.step)).map((span) => [span.from, span.to]),
  );
  const parts = [];
  let at = start;
  const working = busy.reduce((sum, [from, to]) => sum + to - from, 0);
  const longest = Math.max(30, working * 0.5);
  for (const [from, to] of [...busy, [end, end]]) {
    if (from - at > longest) parts.push({ from: at + longest * 0.1, to: from - longest * 0.1 });
    at = Math.max(at, to);
  }
  const cut = parts.reduce((sum, part) => sum + part.to - part.from, 0);
  const room = Math.max(40, width - parts.length * BREAK);
  const perSecond = room / Math.max(0.001, end - start - cut);
  const x = (time) => {
    let pixels = 0;
    let from = start;
    for (const part of parts) {
      if (time <= part.from) break;
      pixels += (part.from - from) * perSecond;
      if (time < part.to) return pixels + (BREAK * (time - part.from)) / (part.to - part.from);
      pixels += BREAK;
      from = part.to;
    }
    return pixels + (time - from) * perSecond;
  };
  const breaks = parts.map((part) => ({ x: x(part.from), width: BREAK, seconds: part.to - part.from }));
  return { x, breaks, parts, perSecond, start, end, right: x(end) };
}

/** Round times for the axis: [{x, time}], at least `apart` pixels from each other. */
export function ticks(scale, apart = 90) {
  const every = TICKS.find((step) => step * scale.perSecond >= apart) ?? TICKS.at(-1) * 7;
  const found = [];
  const inBreak = (time) => scale.parts.some((part) => time > part.from && time < part.to);
  const zone = new Date(scale.start * 1000).getTimezoneOffset() * 60;
  let last = -Infinity;
  let time = Math.ceil((scale.start - zone) / every) * every + zone;
  while (time <= scale.end && found.length < 100) {
    const skip = scale.parts.find((part) => time > part.from && time < part.to);
    if (skip) {
      time += Math.ceil((skip.to - time) / every) * every;
      continue;
    }
    const x = scale.x(time);
    if (x - last >= apart * 0.8 && !inBreak(time)) {
      found.push({ x, time });
      last = x;
    }
    time += every;
  }
  return found;
}

/** Where the bars of a host stand: [{kind, x, width, index, step}]; no two overlap. */
export function bars(host, scale, now) {
  const found = [];
  let right = -1;
  for (const span of spans(host, now)) {
    if (span.gap) {
      const x = Math.max(scale.x(span.from), right + 1);
      const width = scale.x(span.to) - x;
      if (width >= 3) found.push({ kind: "gap", x, width, seconds: span.to - span.from });
      continue;
    }
    const x = Math.max(scale.x(span.from), right + 1);
    const width = Math.max(SMALLEST, scale.x(span.to) - x);
    found.push({ kind: "step", x, width, index: span.index, step: span.step, span });
    right = x + width;
  }
  let ghost = Math.max(right, scale.right) + 6;
  const waits = host.steps.map((step, index) => ({ step, index })).filter(({ index }) => !found.some((bar) => bar.index === index));
  for (const { step, index } of waits) {
    found.push({ kind: "ghost", x: ghost, width: GHOST - 2, index, step });
    ghost += GHOST;
  }
  return found;
}

/** The room that steps need which have not begun. */
export function ghostRoom(hosts) {
  let most = 0;
  for (const host of hosts) {
    const waits = host.steps.filter((step) => step.started_at === null && step.status !== "waiting").length;
    most = Math.max(most, waits);
  }
  return most ? Math.min(most, GHOSTS) * GHOST + 10 : 6;
}
