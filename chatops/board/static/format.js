// How things are said: times, durations, statuses.

export const STATUS = {
  queued: { label: "queued", glyph: "…" },
  pending: { label: "pending", glyph: "·" },
  running: { label: "running", glyph: "▶" },
  waiting: { label: "waiting", glyph: "◷" },
  paused: { label: "paused", glyph: "Ⅱ" },
  failed: { label: "failed", glyph: "✕" },
  succeeded: { label: "succeeded", glyph: "✓" },
  skipped: { label: "skipped", glyph: "»" },
  cancelled: { label: "cancelled", glyph: "–" },
  aborted: { label: "aborted", glyph: "■" },
  rolled_back: { label: "rolled back", glyph: "↶" },
};

export const ACTIVE = new Set(["queued", "running", "waiting", "paused"]);

let offset = 0; // milliseconds that the server's clock is ahead of ours

/** Learn the server's clock from an answer's Date header; it has whole seconds only. */
export function learnClock(date) {
  const theirs = Date.parse(date ?? "");
  if (Number.isNaN(theirs)) return;
  const off = theirs + 500 - Date.now();
  offset = Math.abs(off) > 2000 ? off : 0;
}

/** Now by the server's clock, in seconds. */
export function now() {
  return (Date.now() + offset) / 1000;
}

/** An ISO time in seconds; null stays null. */
export function seconds(iso) {
  return iso === null || iso === undefined ? null : Date.parse(iso) / 1000;
}

/** 0.4 s · 12 s · 3 min 5 s · 2 h 10 min · 3 d 4 h */
export function duration(value) {
  const all = Math.max(0, value);
  if (all < 10) return `${Math.round(all * 10) / 10} s`;
  const whole = Math.round(all);
  if (whole < 60) return `${whole} s`;
  const pairs = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
  const [big, bigName, small, smallName] = pairs.find(([size]) => whole >= size);
  const rest = Math.floor((whole % big) / small);
  return `${Math.floor(whole / big)} ${bigName}${rest ? ` ${rest} ${smallName}` : ""}`;
}

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayFormat = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });

/** The time of day, of seconds since the epoch. */
export function clock(value) {
  return clockFormat.format(new Date(value * 1000));
}

/** The time of day, with the day unless that is today. */
export function moment(iso) {
  const value = seconds(iso);
  if (value === null) return "–";
  const day = dayFormat.format(new Date(value * 1000));
  return day === dayFormat.format(new Date(now() * 1000)) ? clock(value) : `${day}, ${clock(value)}`;
}

/** How long ago. */
export function ago(iso) {
  const value = seconds(iso);
  if (value === null) return "–";
  const past = now() - value;
  return past < 5 ? "just now" : `${duration(past).split(" ").slice(0, 2).join(" ")} ago`;
}

/** haproxy.drain is drain, nginx.upgrade_executable is upgrade executable. */
export function shortName(step) {
  return step.slice(step.lastIndexOf(".") + 1).replaceAll("_", " ");
}

/** One host, 3 hosts. */
export function count(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
