// The one door to the server.

import { learnClock } from "./format.js";

let csrf = "";

/** An answer that is no success; `message` is what the server says about it. */
export class Problem extends Error {
  constructor(status, detail, frozen = false) {
    super(detail);
    this.status = status;
    this.frozen = frozen; // refused for a freeze, which some may override
  }
}

function toLogin() {
  const here = location.pathname;
  location.assign(here === "/" ? "/login" : `/login?next=${encodeURIComponent(here)}`);
}

async function ask(method, path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: {
        Accept: "application/json",
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(method === "GET" ? {} : { "X-Winch-CSRF": csrf }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, "The server does not answer.");
  }
  learnClock(answer.headers.get("date"));
  if (answer.status === 401) {
    toLogin();
    throw new Problem(401, "The session is over.");
  }
  if (answer.status === 204) return null;
  const said = await answer.json().catch(() => null);
  if (!answer.ok) throw new Problem(answer.status, said?.detail ?? `The server answered ${answer.status}.`, said?.frozen === true);
  return said;
}

/** Ask for something; `path` is under /api/v1. */
export function get(path) {
  return ask("GET", `/api/v1${path}`);
}

/** Change something. */
export function post(path, body, headers) {
  return ask("POST", `/api/v1${path}`, body, headers);
}

/** Find out who is logged in. */
export async function session() {
  const found = await ask("GET", "/session");
  csrf = found.csrf;
  return found;
}

/** How the parts of Winch are; an answer also when they are not well. */
export async function health() {
  try {
    const answer = await fetch("/api/v1/healthz");
    return await answer.json();
  } catch {
    return null;
  }
}

export async function logout() {
  await ask("POST", "/logout");
  location.assign("/login");
}
