// Which view is shown, and when it repeats its requests: about as often as the figures change.

import { ask, idPath, keep, KeyNeeded, Refused } from "./data.js";
import { Chart, events, loadSeries, POWERS, powers, range, SPANS, together } from "./plots.js";
import { element, fleet, loadTypes, networkTiles, venLoads, venTiles } from "./views.js";

const STATS_SECONDS = 5, HISTORY_SECONDS = 30, FLEET_SECONDS = 15, VENS = 50;
const at = (id) => document.getElementById(id);
// The requests of the view (objects of Every) that failed when last asked: since when, and why.
const troubles = new Map();
let view;

// Repeats a request every `seconds` while its view is shown and the page is visible.
class Every {
  constructor(seconds, work) {
    this.seconds = seconds;
    this.work = work;
    this.run();
  }

  async run() {
    this.wait(false);
    const turn = (this.turn = (this.turn || 0) + 1);
    if (!document.hidden) {
      try {
        await this.work(() => this.stopped || turn !== this.turn);
        if (!this.stopped) answered(this);
      } catch (problem) {
        if (!this.stopped) troubled(this, problem);
      }
    }
    if (!this.stopped && turn === this.turn) this.wait(true);
  }

  wait(waiting) {
    this.waiting = waiting;
    clearTimeout(this.timer);
    if (waiting) this.timer = setTimeout(() => this.run(), this.seconds * 1000);
  }

  stop() {
    this.stopped = true;
    this.wait(false);
    troubles.delete(this);
  }
}

function answered(asker) {
  troubles.delete(asker);
  // The api is back: what got no answer before is asked for now, not at its next turn.
  for (const [other, { unanswered }] of troubles) if (unanswered && other.waiting) other.run();
  tellTrouble();
  at("ask-key").hidden = true;
  at("view").hidden = false;
  at("now").textContent = `as of ${new Date().toLocaleTimeString()}`;
}

function troubled(asker, problem) {
  if (problem instanceof KeyNeeded) {
    askKey();
    return;
  }
  const unanswered = !(problem instanceof Refused);
  const why = unanswered ? "the api does not answer" : problem.message;
  troubles.set(asker, { since: troubles.get(asker)?.since ?? new Date(), why, unanswered });
  tellTrouble();
}

function askKey() {
  at("view").hidden = true;
  if (at("ask-key").hidden) {
    at("ask-key").hidden = false;
    at("key").focus();
  }
}

// Shows the oldest trouble until its request is answered.
function tellTrouble() {
  const [oldest] = [...troubles.values()].sort((one, other) => one.since - other.since);
  at("trouble").hidden = !oldest;
  if (!oldest) return;
  const text = `Since ${oldest.since.toLocaleTimeString()}: ${oldest.why}. What is shown is from before; trying again.`;
  // A screen reader says it once, not at each attempt.
  if (at("trouble").textContent !== text) at("trouble").textContent = text;
}

function template(name) {
  at("view").replaceChildren(at(name).content.cloneNode(true));
  at("view").querySelector("[data-power]").replaceWith(at("power").content.cloneNode(true));
  return (part) => at("view").querySelector(`[data-part="${part}"]`);
}

function spanButtons(box, chosen, changed) {
  box.replaceChildren(...Object.keys(SPANS).map((name) => {
    const button = element("button", name, { type: "button", "aria-pressed": name === chosen });
    button.addEventListener("click", () => {
      for (const other of box.children) other.setAttribute("aria-pressed", other === button);
      changed(name);
    });
    return button;
  }));
}

function networkView() {
  const part = template("network");
  let span = "day";
  const chart = new Chart(part("chart"), part("legend"), POWERS);
  const history = new Every(HISTORY_SECONDS, async (over) => {
    const asked = range(span);
    const found = await ask("/stats/network/history", asked);
    if (over()) return;
    chart.events = events(found);
    chart.show(powers(found), asked, `Power of the network, last ${span}`);
  });
  spanButtons(part("spans"), span, (name) => { span = name; history.run(); });
  const list = new Every(FLEET_SECONDS, async (over) => {
    const page = await ask("/fleet", { limit: VENS, prefix: part("prefix").value });
    if (!over()) fleet(part("vens"), part("more"), page);
  });
  part("prefix").addEventListener("input", () => list.run());
  const stats = new Every(STATS_SECONDS, async (over) => {
    const [network, types, stored] = await Promise.all([ask("/stats/network"), ask("/stats/loads"), ask("/stats/ingest")]);
    if (over()) return;
    networkTiles(part("tiles"), network, stored);
    loadTypes(part("loads"), types);
  });
  return { title: "ECS Backend", charts: [chart], asks: [stats, history, list] };
}

function venView(id) {
  const part = template("ven"), path = idPath(id);
  part("title").textContent = id;
  let span = "day", loads;
  const charts = [new Chart(part("chart"), part("legend"), POWERS)];
  const ven = new Every(STATS_SECONDS, async (over) => {
    const found = await ask(`/fleet/${path}`);
    if (over()) return;
    venTiles(part("tiles"), found);
    venLoads(part("loads"), found.loads);
  });
  const history = new Every(HISTORY_SECONDS, async (over) => {
    const asked = range(span);
    const [found, all] = await Promise.all([ask(`/vens/${path}/history`, asked), ask(`/vens/${path}/loads`)]);
    const first = all.slice(0, loadSeries(all).length);
    const each = await Promise.all(first.map((load) => ask(`/vens/${path}/loads/${idPath(load.id)}/history`, asked)));
    if (over()) return;
    charts[0].events = events(found);
    charts[0].show(powers(found), asked, `Power of ${id}, last ${span}`);
    const names = first.map((load) => load.id).join("\n");
    if (names !== loads) {
      charts[1]?.close();
      charts[1] = new Chart(part("loads-chart"), part("loads-legend"), loadSeries(first));
      loads = names;
    }
    if (first.length) charts[1].show(together(each), asked, `Power of the loads of ${id}, last ${span}`);
  });
  spanButtons(part("spans"), span, (name) => { span = name; history.run(); });
  return { title: `${id} – ECS Backend`, charts, asks: [ven, history] };
}

function go() {
  view?.asks.forEach((each) => each.stop());
  view?.charts.forEach((each) => each.close());
  tellTrouble();
  const [, ven] = location.hash.match(/^#\/ven\/(.+)$/) || [];
  const moved = view !== undefined;
  view = ven ? venView(decodeURIComponent(ven)) : networkView();
  document.title = view.title;
  if (moved) {
    at("view").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

at("ask-key").addEventListener("submit", (event) => {
  event.preventDefault();
  keep(at("key").value);
  at("key").value = "";
  view.asks.forEach((each) => each.run());
});
addEventListener("hashchange", go);
document.addEventListener("visibilitychange", () => document.hidden || view.asks.forEach((each) => each.run()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view.charts.forEach((each) => each.recolored()));
go();
