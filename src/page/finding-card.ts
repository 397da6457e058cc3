import { amounts, endpoint, who } from "../events/line.ts";
import type { FindingJson, RemedyJson } from "../findings/finding.ts";
import { element, setText, timeElement } from "./dom.ts";

/** One finding. Showing a newer state of it leaves alone what a reader may be using. */
export class FindingCard {
  readonly root = element("article", { class: "card finding" });
  readonly #badge = element("span", { class: "badge" });
  readonly #summary = element("h3");
  readonly #seen = element("p", { class: "seen" });
  readonly #parties = element("ul", { class: "parties" });
  readonly #remedies = element("div");
  readonly #todo = element("details", {}, element("summary", {}, "What to do"), this.#remedies);
  readonly #more = element("div");
  #shown: FindingJson;

  /** `isOpen`: whether what to do is to be seen at once. */
  constructor(finding: FindingJson, isOpen: boolean) {
    this.#shown = finding;
    const title = `title-${finding.id}`;
    this.#summary.id = title;
    this.root.setAttribute("aria-labelledby", title);
    const kind = element("code", {}, finding.kind);
    const head = element("p", { class: "head" }, this.#badge, kind);
    const details = element("details", {}, element("summary", {}, "Why, and how sure"), this.#more);
    this.root.append(head, this.#summary, this.#seen, this.#parties, this.#todo, details);
    this.#todo.open = isOpen;
    this.#fill(finding, undefined);
  }

  get finding(): FindingJson {
    return this.#shown;
  }

  show(finding: FindingJson): void {
    const before = this.#shown;
    this.#shown = finding;
    this.#fill(finding, before);
  }

  #fill(finding: FindingJson, before: FindingJson | undefined): void {
    const { severity, state, summary, parties, remedies } = finding;
    const label = state === "closed" ? "closed" : severity;
    setText(this.#badge, label);
    this.#badge.className = `badge ${label}`;
    this.root.classList.toggle("closed", state === "closed");
    setText(this.#summary, summary);
    this.#seen.replaceChildren(...seen(finding));
    if (differs(parties, before?.parties)) this.#parties.replaceChildren(...parties.map(partyItem));
    if (differs(remedies, before?.remedies)) {
      this.#remedies.replaceChildren(...remedies.flatMap(remedyParts));
    }
    this.#more.replaceChildren(...explanation(finding));
  }
}

function differs(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) !== JSON.stringify(other);
}

function seen({ count, first_seen: first, last_seen: last }: FindingJson): (Node | string)[] {
  const times = count === 1 ? "once, " : `${count.toLocaleString("en")} times, `;
  return first === last
    ? [times, timeElement(first)]
    : [times, timeElement(first), " to ", timeElement(last)];
}

function partyItem(party: FindingJson["parties"][number]): HTMLElement {
  const { role, local, peer } = party;
  const flow = [local, peer].filter((end) => end !== undefined).map(endpoint);
  const name = who(party);
  const known = name === "-" ? [] : [element("b", {}, name), " "];
  return element(
    "li",
    {},
    `${role}: `,
    ...known,
    [flow.join(" → "), ...amounts(party)].filter((word) => word !== "").join(", "),
  );
}

function remedyParts({ summary, commands, where, snippets = [] }: RemedyJson): HTMLElement[] {
  return [
    element("p", { class: "remedy" }, summary),
    ...(where === undefined ? [] : [element("p", { class: "remedy" }, `On ${where}:`)]),
    ...[...commands, ...snippets].map(commandLine),
  ];
}

function commandLine(command: string): HTMLElement {
  const code = element("code", {}, command);
  const button = element("button", { type: "button" });
  const say = (word: string) => {
    button.textContent = word;
    button.setAttribute("aria-label", `${word}: ${command}`);
  };
  say("Copy");
  button.addEventListener("click", () => {
    void copy(code).then((word) => {
      say(word);
      setTimeout(() => say("Copy"), 2000);
    });
  });
  return element("div", { class: "command" }, code, button);
}

/** Browsers give the clipboard to pages of localhost and of TLS only. Returns what was done. */
async function copy(code: HTMLElement): Promise<string> {
  try {
    await navigator.clipboard.writeText(code.textContent ?? "");
    return "Copied";
  } catch {
    getSelection()?.selectAllChildren(code);
    return "Selected";
  }
}

function explanation(finding: FindingJson): HTMLElement[] {
  const { confidence, evidence, evidence_count: all, references, consequence } = finding;
  const effects = Object.entries(consequence).map(
    ([name, value]) => `${name.replaceAll("_", " ")}: ${value}`,
  );
  const links = references.map(({ title, url }) => element("li", {}, link(title, url)));
  return [
    element("p", {}, finding.explanation),
    ...(effects.length === 0 ? [] : [element("p", {}, `Effect: ${effects.join(", ")}`)]),
    element("p", {}, `Confidence ${confidence.level}: ${confidence.rests_on}`),
    element("p", {}, `Rests on ${all} events, seq ${evidence.join(", ")}`),
    element("ul", {}, ...links),
  ];
}

function link(title: string, url: string): Node | string {
  return url.startsWith("https://")
    ? element("a", { href: url, rel: "noreferrer", target: "_blank" }, title)
    : `${title} ${url}`;
}
