// Charts of histories, drawn by dygraphs. A bucket is a step: its power is a mean over it.

import { element, shown } from "./views.js";

export const SPANS = {
  day: { hours: 24, granularity: "5m" },
  week: { hours: 168, granularity: "1h" },
  month: { hours: 720, granularity: "6h" },
};

// These two plugins write style attributes, which the page's policy forbids. The page has its own legend.
Dygraph.PLUGINS = Dygraph.PLUGINS.filter((each) => each !== Dygraph.Plugins.Legend && each !== Dygraph.Plugins.Annotations);

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const LOADS = ["used", "shed", "asked", "good", "bad", "quiet"];

// start, end and granularity of a history that ends now; `start` is a whole hour, so that requests within an hour differ
// in `end` only.
export function range(name) {
  const { hours, granularity } = SPANS[name];
  const start = new Date(Math.floor(Date.now() / 3600000) * 3600000 - hours * 3600000);
  return { start: start.toISOString(), end: new Date().toISOString(), granularity, fill: "null" };
}

export class Chart {
  constructor(box, legend, series) {
    this.box = box;
    this.legend = legend;
    this.series = series;
    this.events = [];
  }

  // rows: [Date, one number or null for each of the series]; start, end: the range of the chart
  show(rows, { start, end }, title) {
    const labels = ["time", ...this.series.map(([name]) => name)];
    const last = rows.findLast((row) => row.slice(1).some((value) => value !== null));
    const says = last ? this.series.map(([name], n) => `${name} ${shown(last[n + 1])} kW`).join(", ") : "nothing yet";
    this.box.setAttribute("aria-label", `${title}: at last ${says}`);
    this.last = last;
    this.tell(last);
    // A step is drawn up to the next row, so the last bucket, which is still open, needs a row at its end: now.
    const now = new Date(end), open = rows.at(-1)?.slice(1) ?? this.series.map(() => null);
    const given = { file: [...rows, [now, ...open]], dateWindow: [Date.parse(start), now.getTime()] };
    if (this.drawn) this.drawn.updateOptions(given);
    else this.drawn = new Dygraph(this.box, given.file, { ...this.options(labels), dateWindow: given.dateWindow });
  }

  // The legend: each series in its color, with its power at `row`.
  tell(row) {
    const when = row ? row[0].toLocaleString([], { dateStyle: "short", timeStyle: "short" }) : "nothing yet";
    this.legend.replaceChildren(element("span", when), ...this.series.map(([name, kind], n) => element("span", `${name} ${row ? shown(row[n + 1]) : "–"} kW`, { class: `series ${kind}` })));
  }

  options(labels) {
    return {
      labels,
      highlightCallback: (event, x, points) => this.tell([new Date(x), ...this.series.map(([name]) => points.find((each) => each.name === name)?.yval ?? null)]),
      unhighlightCallback: () => this.tell(this.last),
      colors: this.series.map(([, name]) => color(name)), stepPlot: true, strokeWidth: 1.6, animatedZooms: false,
      axisLineColor: color("line"), gridLineColor: color("line"), axisLabelFontSize: 12, includeZero: true,
      highlightCircleSize: 3,
      axes: { y: { axisLabelWidth: 64, axisLabelFormatter: (value) => `${Number(value.toPrecision(6))} kW` } },
      underlayCallback: (canvas, area, chart) => this.shade(canvas, area, chart),
    };
  }

  shade(canvas, area, chart) {
    canvas.fillStyle = color("event");
    for (const [from, to] of this.events) {
      const left = Math.max(area.x, chart.toDomXCoord(from)), right = Math.min(area.x + area.w, chart.toDomXCoord(to));
      if (right > left) canvas.fillRect(left, area.y, right - left, area.h);
    }
  }

  recolored() {
    this.drawn?.updateOptions({ colors: this.series.map(([, name]) => color(name)), axisLineColor: color("line"), gridLineColor: color("line") });
  }

  close() {
    this.drawn?.destroy();
    this.drawn = undefined;
  }
}

export const POWERS = [["used", "used"], ["shed", "shed"], ["asked for", "asked"]];

export const powers = (history) => history.points.map((point) => [new Date(point.timestamp), point.usedPowerKw, point.shedPowerKw, point.requestedReductionKw]);

export const loadSeries = (loads) => loads.slice(0, LOADS.length).map((load, n) => [load.name || load.id, LOADS[n]]);

// From when to when readings named an event, in whole buckets; one span for successive buckets of an event, because two
// would show a seam.
export function events({ points }) {
  const spans = [];
  points.forEach(({ timestamp, eventId }, n) => {
    if (eventId === null) return;
    const end = Date.parse(points[n + 1]?.timestamp ?? new Date());
    if (n && points[n - 1].eventId === eventId) spans.at(-1)[1] = end;
    else spans.push([Date.parse(timestamp), end]);
  });
  return spans;
}

// One row for each time, with a column for each load.
export function together(histories) {
  const rows = new Map();
  histories.forEach((history, n) => {
    for (const point of history.points) {
      if (!rows.has(point.timestamp)) rows.set(point.timestamp, [new Date(point.timestamp), ...histories.map(() => null)]);
      rows.get(point.timestamp)[n + 1] = point.usedPowerKw;
    }
  });
  return [...rows.keys()].sort().map((time) => rows.get(time));
}
