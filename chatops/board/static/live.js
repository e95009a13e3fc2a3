// A run as it happens, by server-sent events.

import { session } from "./api.js";

const AGAIN = 3000; // milliseconds until a stream that was refused is asked for again

/**
 * Watch a run. `told` has onSnapshot(run), onHost(host), onRun(summary), onEnd(), onState(live).
 * A page that nobody sees does not watch: browsers give one server few connections.
 */
export class Watch {
  constructor(id, told) {
    this.id = id;
    this.told = told;
    this.source = null;
    this.ended = false;
    this.streams = 0; // that were begun
    this.timer = null;
    this.onVisible = () => (document.hidden ? this.pause() : this.start());
    document.addEventListener("visibilitychange", this.onVisible);
    if (!document.hidden) this.start();
  }

  start() {
    if (this.source || this.ended) return;
    clearTimeout(this.timer);
    const source = new EventSource(`/api/v1/runs/${this.id}/events`);
    this.source = source;
    this.streams += 1;
    const on = (name, act) =>
      source.addEventListener(name, (event) => {
        this.told.onState(true);
        act(JSON.parse(event.data));
      });
    on("snapshot", (run) => this.told.onSnapshot(run));
    on("host", (host) => this.told.onHost(host));
    on("run", (run) => this.told.onRun(run));
    on("end", (end) => {
      this.ended = true;
      this.pause();
      this.told.onEnd(end);
    });
    source.onerror = () => {
      if (this.ended) return;
      this.told.onState(false);
      // CONNECTING: the browser tries again by itself, and says what it has seen.
      if (source.readyState === EventSource.CLOSED) {
        this.pause();
        session().catch(() => {}); // goes to the login if that is why
        this.timer = setTimeout(() => this.start(), AGAIN);
      }
    };
  }

  pause() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  /** The run goes on after its end: somebody retries it. */
  again() {
    this.ended = false;
    this.pause();
    this.start();
  }

  stop() {
    this.ended = true;
    this.pause();
    document.removeEventListener("visibilitychange", this.onVisible);
  }
}

