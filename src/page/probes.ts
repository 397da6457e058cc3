import type { ProbeStatus, Status } from "../http/openapi/status.schema.ts";
import { element, setText } from "./dom.ts";

/** State of the daemon in the header, and of its probes in a table. */
export class Probes {
  readonly #about: HTMLElement;
  readonly #place: HTMLElement;
  readonly #rows = element("tbody");
  readonly #rejected = element("ul");
  readonly #why = element(
    "details",
    { class: "why" },
    element("summary", {}, "Why not a better backend"),
    this.#rejected,
  );

  constructor(about: HTMLElement, place: HTMLElement) {
    this.#about = about;
    this.#place = place;
  }

  show({ version, ready, kernel }: Status): void {
    const state = ready.ok ? "ready" : `not ready: ${ready.reason ?? "no reason is known"}`;
    const release = kernel === null ? "" : `, Linux ${kernel.release}`;
    setText(this.#about, `${version}${release}, ${state}`);
    const probes = kernel?.probes ?? [];
    this.#rows.replaceChildren(...probes.map(row));
    const reasons = probes.flatMap(({ probe, backend: attached, passed_over: rejected }) =>
      rejected.map(({ backend, reason }) => {
        const not = backend === attached ? "not the best of" : "not";
        return `${probe}: ${not} ${backend}: ${reason}`;
      }),
    );
    this.#rejected.replaceChildren(...reasons.map((reason) => element("li", {}, reason)));
    this.#why.hidden = reasons.length === 0;
    if (!this.#place.contains(this.#rows)) this.#place.replaceChildren(this.#table(), this.#why);
  }

  #table(): HTMLElement {
    const heads = ["Probe", "Delivered", "Lost", "Held back"];
    const cells = heads.map((head) => element("th", { scope: "col" }, head));
    const head = element("thead", {}, element("tr", {}, ...cells));
    return element("table", { class: "card" }, head, this.#rows);
  }
}

function row({ probe, backend, delivered, lost, filtered }: ProbeStatus): HTMLElement {
  const state = backend === null ? "not attached" : `by ${backend}`;
  const dot = element("span", {
    class: backend === null ? "dot off" : "dot",
    "aria-hidden": "true",
  });
  const name = element(
    "th",
    { scope: "row" },
    dot,
    ...breakable(probe),
    " ",
    element("small", {}, state),
  );
  const counts = [delivered, lost, filtered].map((count, index) =>
    element("td", index === 1 && count > 0 ? { class: "bad" } : {}, count.toLocaleString("en")),
  );
  return element("tr", {}, name, ...counts);
}

/** A name that may be broken after its underscores, on a narrow screen. */
function breakable(name: string): (Node | string)[] {
  return name.split(/(?<=_)/).flatMap((word) => [word, element("wbr")]);
}
