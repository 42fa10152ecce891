// Figures and lists: answers of the api → elements of the page. Texts are set as texts, never as markup.

const number = (digits) => new Intl.NumberFormat("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });
const whole = number(0), tenth = number(1), thousandth = number(3);
const percent = new Intl.NumberFormat("en", { style: "percent" });

// Powers in kW; a dash for an unknown value.
export const shown = (value) => (value === null || value === undefined ? "–" : (Math.abs(value) < 100 ? thousandth : tenth).format(value));
const count = (value) => (value === null || value === undefined ? "–" : whole.format(value));

export function ago(time) {
  if (!time) return "never";
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Tiles are made once, and then only get new texts, so that nothing moves.
export function tiles(list, figures) {
  for (const [name, value, unit, more] of figures) {
    let tile = list.querySelector(`[data-name="${name}"]`);
    if (!tile) {
      tile = element("div", undefined, { "data-name": name });
      tile.append(element("dt", name), element("dd"));
      list.append(tile);
    }
    const figure = tile.querySelector("dd"), note = element("small", more || "\u00a0", { title: more });
    figure.replaceChildren(`${value}${unit ? ` ${unit}` : ""}`, note);
  }
}

export function networkTiles(list, stats, stored) {
  tiles(list, [
    ["VENs online", count(stats.onlineVens), "", `of ${count(stats.venCount)}`],
    ["power now", shown(stats.householdUsageKw), "kW", `${shown(stats.averageHousePower)} kW a VEN`],
    ["shed now", shown(stats.currentLoadReductionKw), "kW", stats.networkEfficiency === null ? "nothing asked for" : `${shown(stats.networkEfficiency)} % of asked`],
    ["energy today", shown(stats.totalHousePowerToday), "kWh", ""],
    ["can be shed", shown(stats.potentialLoadReductionKw), "kW", ""],
    ["readings", count(stored.readingsPerMinute), "/min", `newest ${ago(stored.newestReading)}`],
    ["dead letters", count(stored.deadLetters), "", stored.newestDeadLetter ? `newest ${ago(stored.newestDeadLetter)}` : ""],
  ]);
}

export function venTiles(list, ven) {
  tiles(list, [
    ["state", ven.online ? "online" : "offline", "", ven.status ? `says ${ven.status}` : ""],
    ["power", shown(ven.usedPowerKw), "kW", ""],
    ["shed", shown(ven.shedPowerKw), "kW", ven.eventId ? `for ${ven.eventId}` : ""],
    ["battery", ven.batterySoc === null ? "–" : percent.format(ven.batterySoc), "", ""],
    ["seen", ago(ven.lastSeen), "", ""],
  ]);
}

function row(cells) {
  const made = element("tr");
  for (const cell of cells) {
    const box = element("td");
    box.append(cell);
    made.append(box);
  }
  return made;
}

export function loadTypes(body, types) {
  const most = Math.max(...types.map((each) => each.totalCapacityKw), 1e-9);
  body.replaceChildren(...types.map((each) => {
    const meter = element("meter", undefined, { min: 0, max: most, value: Math.max(0, each.currentUsageKw), "aria-label": `${each.type}: ${shown(each.currentUsageKw)} kW` });
    return row([each.type, shown(each.currentUsageKw), shown(each.totalShedCapabilityKw), shown(each.totalCapacityKw), meter]);
  }));
}

export function venLoads(body, loads) {
  body.replaceChildren(...loads.map((load) => row([load.name || load.id, load.type || "unknown", shown(load.currentPowerKw), shown(load.shedCapabilityKw), shown(load.capacityKw)])));
}

export function fleet(body, more, page) {
  const focused = document.activeElement?.getAttribute?.("href");
  body.replaceChildren(...page.vens.map((ven) => {
    const link = element("a", ven.id, { href: `#/ven/${encodeURIComponent(ven.id)}` });
    const state = element("span", ven.online ? "online" : "offline", { class: ven.online ? "online" : "offline" });
    return row([link, state, shown(ven.usedPowerKw), shown(ven.shedPowerKw), count(ven.loadCount), ago(ven.lastSeen)]);
  }));
  more.textContent = page.next ? `${count(page.vens.length)} of ${count(page.total)}: say how the id begins to see others` : `${count(page.total)} in all`;
  if (focused) body.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
}
