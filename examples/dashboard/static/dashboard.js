// What makes the page quicker to use. All of it can be done without.
"use strict";

const main = document.querySelector("main");
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

for (const found of all("[data-enhanced]")) found.hidden = false;
for (const found of all("[data-enhanced-away]")) found.hidden = true;
for (const found of all("[data-submits]")) found.addEventListener("change", () => found.form.submit());
if (matchMedia("(max-width: 980px)").matches) for (const found of all(".facet details")) found.open = false;

// -- the timeline: drag to look closer, arrows to move ----------------------

const chart = one(".chart");
if (chart) {
  const buckets = all(".bucket", chart);
  const stops = buckets.filter((bucket) => bucket.matches("a"));
  const at = (x) => {
    const box = chart.getBoundingClientRect();
    const index = Math.floor(((x - box.left) / box.width) * buckets.length);
    return Math.min(Math.max(index, 0), buckets.length - 1);
  };
  let from = null;
  let selection = null;

  const draw = (to) => {
    const [low, high] = [Math.min(from, to), Math.max(from, to)];
    const width = 100 / buckets.length;
    selection ??= chart.appendChild(document.createElementNS(chart.namespaceURI, "rect"));
    for (const [name, value] of Object.entries({
      class: "selection", x: `${low * width}%`, width: `${(high - low + 1) * width}%`, y: 0, height: "84%",
    })) selection.setAttribute(name, value);
    return [low, high];
  };
  const forget = () => {
    selection?.remove();
    selection = from = null;
  };
  chart.addEventListener("dragstart", (event) => event.preventDefault());
  chart.addEventListener("pointerdown", (event) => {
    if (event.button === 0) from = at(event.clientX);
  });
  chart.addEventListener("pointermove", (event) => {
    if (from !== null && (selection || at(event.clientX) !== from)) {
      chart.setPointerCapture(event.pointerId);
      draw(at(event.clientX));
    }
  });
  chart.addEventListener("pointerup", (event) => {
    if (!selection) return forget();
    const [low, high] = draw(at(event.clientX));
    forget();
    const url = new URL(chart.dataset.zoom, location.href);
    url.searchParams.set("since", buckets[low].dataset.since);
    url.searchParams.set("until", buckets[high].dataset.until);
    chart.addEventListener("click", (click) => click.preventDefault(), { capture: true, once: true });
    location.assign(url);
  });
  chart.addEventListener("pointercancel", forget);

  stops.forEach((stop, index) => stop.setAttribute("tabindex", index === stops.length - 1 ? "0" : "-1"));
  chart.addEventListener("keydown", (event) => {
    const index = stops.indexOf(document.activeElement);
    const next = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: stops.length - 1 }[event.key];
    if (index < 0 || next === undefined || !stops[next]) return;
    event.preventDefault();
    stops[index].setAttribute("tabindex", "-1");
    stops[next].setAttribute("tabindex", "0");
    stops[next].focus();
  });
}

// -- a record in a drawer ---------------------------------------------------

const drawer = one(".drawer");
const fetched = async (url) => {
  const answer = await fetch(url, { headers: { accept: "text/html" } });
  return new DOMParser().parseFromString(await answer.text(), "text/html");
};
const show = async (url) => {
  let page;
  try {
    page = await fetched(url);
  } catch {
    return location.assign(url);
  }
  const content = one(".content", drawer);
  content.replaceChildren(document.adoptNode(one("main > *:last-child", page)));
  for (const found of all("[data-enhanced]", content)) found.hidden = false;
  if (!drawer.open) drawer.showModal();
  drawer.scrollTop = 0;
  const heading = one("h1", content);
  heading.tabIndex = -1;
  heading.focus();
};
const isPlain = (event) => event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.open");
  if (!drawer || !link || !isPlain(event)) return;
  event.preventDefault();
  show(link.href);
});
drawer?.addEventListener("click", (event) => {
  if (event.target === drawer) drawer.close();
});
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    button.textContent = "The browser refused";
  }
});

// -- older records, without another page ------------------------------------

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a.older");
  if (!link || !isPlain(event)) return;
  event.preventDefault();
  const paging = link.closest("nav");
  link.setAttribute("aria-busy", "true");
  let page;
  try {
    page = await fetched(link.href);
  } catch {
    return location.assign(link.href);
  }
  const days = all(".days > .day", page);
  if (!days.length) return location.assign(link.href);
  const list = one(".days");
  const last = list.lastElementChild;
  for (const day of days) {
    if (last && one("h3", last).textContent === one("h3", day).textContent)
      one(".rows", last).append(...all(".rows > li", day));
    else list.append(document.adoptNode(day));
  }
  const older = one("a.older", page);
  if (older) link.replaceWith(document.adoptNode(older));
  else link.remove();
  const first = one(`[data-id="${one(".row", days[0])?.dataset.id ?? ""}"] .open`);
  (first ?? one("a", paging))?.focus({ preventScroll: true });
});

// -- what comes meanwhile ----------------------------------------------------

const pill = one(".pill");
if (main?.dataset.live && pill && "EventSource" in window) {
  const toggle = one("[data-live-toggle]");
  const there = new Set(all(".row").map((row) => row.dataset.id));
  let [source, count, position] = [null, 0, ""];
  const came = (event) => {
    position = event.lastEventId;
    const { n, ids } = JSON.parse(event.data);
    count += n - ids.filter((id) => there.has(id)).length;
    if (count <= 0) return;
    pill.textContent = `${count.toLocaleString("en")} new`;
    pill.hidden = false;
  };
  const follow = (on) => {
    toggle?.setAttribute("aria-pressed", String(on));
    source?.close();
    source = null;
    if (!on) return;
    const url = new URL(main.dataset.live, location.href);
    if (position) url.searchParams.set("position", position);
    source = new EventSource(url);
    source.addEventListener("activity", came);
    source.addEventListener("gone", () => follow(false));
    source.addEventListener("open", () => main.setAttribute("data-following", ""));
  };
  toggle?.addEventListener("click", () => follow(!source));
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => event.persisted && follow(true));
  follow(true);
} else {
  for (const found of all("[data-live-toggle]")) found.hidden = true;
}

// -- the keyboard -----------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea") || event.metaKey || event.ctrlKey || event.altKey) return;
  if (drawer?.open) return;
  if (event.key === "/") {
    event.preventDefault();
    one("#q")?.focus();
  }
  if (event.key !== "j" && event.key !== "k") return;
  const rows = all(".feed .open").filter((row) => row.offsetParent !== null);
  const index = rows.indexOf(document.activeElement);
  rows[event.key === "j" ? index + 1 : Math.max(index - 1, 0)]?.focus();
});
