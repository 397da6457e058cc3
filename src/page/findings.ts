import type { FindingJson } from "../findings/finding.ts";
import { byId, element, setText } from "./dom.ts";
import { FindingCard } from "./finding-card.ts";

const SEVERITIES = ["critical", "warning", "info"];

/** The daemon itself keeps no more. */
const MAX_FINDINGS = 512;

/** Cards that show at once what to do. */
const OPEN = 3;

/** The findings, those that are active first, the worst of them on top. */
export class Findings {
  readonly #place: HTMLElement;
  readonly #cards = new Map<string, FindingCard>();
  readonly #news = byId("news");

  constructor(place: HTMLElement) {
    this.#place = place;
  }

  /** All that there are. */
  replace(findings: readonly FindingJson[]): void {
    const kept = new Set(findings.map(({ id }) => id));
    for (const [id, card] of this.#cards) if (!kept.has(id)) this.#remove(id, card);
    for (const finding of findings) this.#put(finding);
    this.#arrange();
  }

  /** One that opened, changed or closed. */
  update(finding: FindingJson): void {
    const isNews = !this.#cards.has(finding.id) && finding.state === "active";
    this.#put(finding);
    this.#arrange();
    if (isNews) setText(this.#news, `New finding, ${finding.severity}: ${finding.summary}`);
  }

  #put(finding: FindingJson): void {
    const card = this.#cards.get(finding.id);
    if (card !== undefined) card.show(finding);
    else this.#cards.set(finding.id, new FindingCard(finding, this.#isOpen(finding)));
  }

  /** The first few: of many, the reader is to see which there are. */
  #isOpen({ state }: FindingJson): boolean {
    return state === "active" && this.#cards.size < OPEN;
  }

  #remove(id: string, card: FindingCard): void {
    this.#cards.delete(id);
    card.root.remove();
  }

  /** Moves only the cards that are out of place: moving one takes the focus away from it. */
  #arrange(): void {
    const cards = [...this.#cards].sort(([, one], [, other]) => order(one.finding, other.finding));
    for (const [id, card] of cards.splice(MAX_FINDINGS)) this.#remove(id, card);
    if (cards.length === 0) {
      this.#place.replaceChildren(element("p", { class: "none" }, "None."));
      return;
    }
    this.#place.querySelector(":scope > .none")?.remove();
    for (const [index, [, { root }]] of cards.entries()) {
      const there = this.#place.children[index];
      if (there !== root) this.#place.insertBefore(root, there ?? null);
    }
  }
}

function order(one: FindingJson, other: FindingJson): number {
  const byState = Number(one.state === "closed") - Number(other.state === "closed");
  const bySeverity = SEVERITIES.indexOf(one.severity) - SEVERITIES.indexOf(other.severity);
  return byState || bySeverity || (one.first_seen < other.first_seen ? 1 : -1);
}
