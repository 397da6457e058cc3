import type { TuplewatchEvent } from "../events/event.ts";
import { EVENT_TYPES } from "../events/event-types.ts";
import { describe, who } from "../events/line.ts";
import { byId, element, setText, timeElement } from "./dom.ts";

/** Events kept of each kind, so that those of a busy one do not push out those of others. */
const KEPT_OF_A_KIND = 200;

/** Events in the list. */
const SHOWN = 200;

const ALL = "all";
const NOT_PLAIN = "not_plain";
const CONNECT_OK = "connect_ok";

interface Arrival {
  readonly order: number;
  readonly event: TuplewatchEvent;
}

/** The latest events, the newest on top. */
export class Events {
  readonly #list: HTMLElement;
  readonly #held = byId("held");
  readonly #shown = byId("shown") as HTMLSelectElement;
  readonly #pause = byId("pause");
  readonly #kept = new Map<string, Arrival[]>();
  /** Arrivals up to this one are in the list, or were. */
  #listed = 0;
  #arrived = 0;
  #isPaused = false;

  constructor(list: HTMLElement) {
    this.#list = list;
    const options = [
      [NOT_PLAIN, "all but successful connects"],
      [ALL, "all"],
      ...EVENT_TYPES.map((type) => [type, type]),
    ];
    for (const [value = "", words = ""] of options) {
      this.#shown.append(element("option", { value }, words));
    }
    this.#shown.addEventListener("change", () => this.#rebuild());
    this.#pause.addEventListener("click", () => this.#togglePause());
  }

  clear(): void {
    this.#kept.clear();
    this.#rebuild();
  }

  take(event: TuplewatchEvent): void {
    this.#arrived += 1;
    const kind = isPlain(event) ? CONNECT_OK : event.type;
    const kept = this.#kept.get(kind) ?? [];
    this.#kept.set(kind, kept);
    kept.push({ order: this.#arrived, event });
    // Twice as many, so that the array is not moved for each event.
    if (kept.length > 2 * KEPT_OF_A_KIND) kept.splice(0, kept.length - KEPT_OF_A_KIND);
  }

  /** Puts what arrived since the last call into the list. */
  flush(): void {
    if (this.#isPaused) {
      const waiting = this.#arrived - this.#listed;
      setText(this.#pause, `Go on (${waiting.toLocaleString("en")} since)`);
      return;
    }
    if (this.#listed === this.#arrived) return;
    const rows = this.#latest(this.#listed).map(({ event }) => eventItem(event));
    this.#listed = this.#arrived;
    this.#list.prepend(...rows);
    while (this.#list.children.length > SHOWN) this.#list.lastElementChild?.remove();
    this.#showHeld();
  }

  #togglePause(): void {
    this.#isPaused = !this.#isPaused;
    this.#pause.setAttribute("aria-pressed", String(this.#isPaused));
    if (!this.#isPaused) setText(this.#pause, "Pause");
    this.flush();
  }

  #rebuild(): void {
    this.#list.replaceChildren(...this.#latest(0).map(({ event }) => eventItem(event)));
    this.#listed = this.#arrived;
    this.#showHeld();
  }

  /** The newest of those wanted that came after arrival `after`, the newest first. */
  #latest(after: number): Arrival[] {
    const wanted = [...this.#kept].filter(([kind]) => this.#wants(kind));
    return wanted
      .flatMap(([, kept]) => kept.filter(({ order }) => order > after))
      .sort((one, other) => other.order - one.order)
      .slice(0, SHOWN);
  }

  #wants(kind: string): boolean {
    const { value } = this.#shown;
    if (value === ALL) return true;
    if (value === NOT_PLAIN) return kind !== CONNECT_OK;
    // A gap may have hidden what is looked for.
    return kind === value || kind === "gap" || (kind === CONNECT_OK && value === "connect");
  }

  #showHeld(): void {
    const { length } = this.#list.children;
    const words = length === SHOWN ? `The newest ${SHOWN}.` : length === 0 ? "None yet." : "";
    setText(this.#held, words);
  }
}

/** A connect that went well, without anything odd about it. */
function isPlain({ type, result, syn_retransmits: again, conflict }: TuplewatchEvent): boolean {
  return type === "connect" && result === "ok" && again === 0 && conflict === undefined;
}

function eventItem(event: TuplewatchEvent): HTMLElement {
  const { text, colour = "plain" } = describe(event);
  const isOfProcess = event.type !== "gap" && event.type !== "finding";
  const name = isOfProcess ? who(event) : "";
  const summary = element(
    "summary",
    {},
    timeElement(event.time),
    element("span", { class: "type" }, event.type),
    element("span", { class: "who" }, name),
    element("span", { class: "what" }, text),
  );
  const details = element("details", {}, summary);
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) {
      details.append(element("pre", {}, JSON.stringify(event, undefined, 2)));
    }
  });
  return element("li", { class: colour }, details);
}
