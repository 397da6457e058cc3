import type uPlot from "uplot";
import { element, setText } from "./dom.ts";

/** Seconds that a chart shows. */
const SPAN_S = 120;

const HEIGHT_PX = 84;

/** uplot.js is no module: it leaves its class with the window. */
const Plot = (window as unknown as { uPlot: typeof uPlot }).uPlot;

/** Events per second of each type that has occurred, counted as they arrive. */
export class Rates {
  readonly #place: HTMLElement;
  readonly #charts = new Map<string, RateChart>();
  /** Of each second so far: 0, or null if nobody listened. */
  readonly #empty: (number | null)[] = new Array(SPAN_S).fill(null);

  constructor(place: HTMLElement) {
    this.#place = place;
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", () => {
      for (const chart of this.#charts.values()) chart.recolour();
    });
  }

  count(type: string): void {
    let chart = this.#charts.get(type);
    if (chart === undefined) {
      if (this.#charts.size === 0) this.#place.replaceChildren();
      chart = new RateChart(type, this.#place, [...this.#empty]);
      this.#charts.set(type, chart);
    }
    chart.count();
  }

  /** To be called once a second. `isLive`: whether events could arrive in this second. */
  tick(isLive: boolean): void {
    this.#empty.shift();
    this.#empty.push(isLive ? 0 : null);
    for (const chart of this.#charts.values()) chart.tick(isLive);
  }
}

class RateChart {
  readonly #type: string;
  readonly #frame = element("div", { class: "chart", role: "img" });
  readonly #now = element("span", { class: "number" }, "0");
  /** One per second, the newest last; null where nobody listened. */
  readonly #rates: (number | null)[];
  #plot: uPlot;
  #count = 0;

  constructor(type: string, place: HTMLElement, rates: (number | null)[]) {
    this.#type = type;
    this.#rates = rates;
    const caption = element("figcaption", {}, element("span", {}, type), this.#now);
    place.append(element("figure", { class: "card" }, caption, this.#frame));
    this.#plot = this.#draw();
    new ResizeObserver(([entry]) => {
      const width = Math.floor(entry?.contentRect.width ?? 0);
      if (width > 0) this.#plot.setSize({ width, height: HEIGHT_PX });
    }).observe(this.#frame);
  }

  count(): void {
    this.#count += 1;
  }

  tick(isLive: boolean): void {
    this.#rates.shift();
    this.#rates.push(isLive ? this.#count : null);
    this.#plot.setData(this.#data());
    setText(this.#now, isLive ? this.#count.toLocaleString("en") : "–");
    const most = Math.max(...this.#rates.map((rate) => rate ?? 0));
    const label = `${this.#type}: ${this.#count} per second now, at most ${most} in two minutes`;
    this.#frame.setAttribute("aria-label", label);
    this.#count = 0;
  }

  /** A canvas takes its colours when it is drawn. */
  recolour(): void {
    this.#plot.destroy();
    this.#plot = this.#draw();
  }

  #data(): uPlot.AlignedData {
    return [this.#rates.map((_, second) => second - SPAN_S + 1), this.#rates];
  }

  #draw(): uPlot {
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const options: uPlot.Options = {
      width: this.#frame.clientWidth || 240,
      height: HEIGHT_PX,
      padding: [8, 4, 4, 0],
      cursor: { show: false },
      legend: { show: false },
      scales: { x: { time: false }, y: { range: (_plot, _least, most) => [0, roundUp(most)] } },
      axes: [
        { show: false },
        {
          size: 44,
          splits: (_plot, _axis, _least, most) => [0, most],
          values: (_plot, splits) => splits.map(short),
          stroke: colour("--dim"),
          font: "12px system-ui, sans-serif",
          grid: { stroke: colour("--line"), width: 1 },
          ticks: { show: false },
        },
      ],
      series: [
        {},
        {
          stroke: colour("--accent"),
          fill: colour("--accent-faint"),
          width: 1.5,
          points: { show: false },
        },
      ],
    };
    return new Plot(options, this.#data(), this.#frame);
  }
}

const SHORT = new Intl.NumberFormat("en", { notation: "compact" });

function short(value: number): string {
  return SHORT.format(value);
}

/** 1, 2 or 5 times a power of ten, so that the scale does not move with each new rate. */
function roundUp(most: number | null): number {
  if (most === null || most <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  const factor = [1, 2, 5].find((one) => one * power >= most) ?? 10;
  return factor * power;
}
