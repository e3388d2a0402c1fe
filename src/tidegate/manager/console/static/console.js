// What is live about a page: it hears that something has changed, and asks for the parts that show it anew.
"use strict";
(() => {
  const REST_MS = 400, AGAIN_MS = [1000, 2000, 5000, 10000], TICK_MS = 15000, LOOK_MS = 30000;
  const SAYS = { live: "live", reconnecting: "reconnecting …", gone: "signed out", off: "" };
  const body = document.body, shown = document.getElementById("live");
  let source = null, after = body.dataset.feed, tries = 0, waiting = null;
  const stale = new Set();

  function say(state) {
    if (!shown || shown.dataset.state === state) return;
    shown.dataset.state = state;
    shown.textContent = SAYS[state];
  }

  // A part says in `data-live` of what it is: beginnings of kinds ("rollout."), or a subject ("rollout 12" as "rollout#12").
  function touches(part, kind, subject) {
    return part.dataset.live.split(" ").some((one) => one.includes("#") ? one.replace("#", " ") === subject : kind.startsWith(one));
  }

  function refresh() {
    waiting = null;
    for (const part of stale) if (part.isConnected) htmx.trigger(part, "stale");
    stale.clear();
  }

  function mark(which) {
    for (const part of document.querySelectorAll("[data-live]")) if (which(part)) stale.add(part);
    if (stale.size && waiting === null) waiting = setTimeout(refresh, REST_MS);
  }

  function heard(event) {
    if (event.lastEventId) after = event.lastEventId;
    const told = JSON.parse(event.data);
    mark((part) => touches(part, told.kind, told.subject));
  }

  function open() {
    if (!after || document.hidden) return;
    source = new EventSource("/live?after=" + encodeURIComponent(after));
    source.onopen = () => {
      if (tries > 0) mark(() => true); // what was missed is sent too, but what was forgotten is not
      tries = 0;
      say("live");
    };
    source.onmessage = heard;
    source.addEventListener("reset", (event) => { after = event.lastEventId || after; mark(() => true); });
    source.onerror = again;
  }

  function again() {
    if (source) source.close();
    source = null;
    say("reconnecting");
    const rest = AGAIN_MS[Math.min(tries, AGAIN_MS.length - 1)];
    tries += 1;
    setTimeout(async () => {
      try {
        const answer = await fetch("/live/whose", { headers: { "HX-Request": "true" } });
        if (answer.status === 401) return say("gone");
      } catch { /* the manager is away */ }
      if (!source) open();
    }, rest);
  }

  // A browser opens six connections to a host at most: pages that nobody looks at hold none.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && source) { source.close(); source = null; }
    else if (!document.hidden && !source && after) { tries = Math.max(tries, 1); open(); }
  });

  function distance(ms) {
    const s = Math.abs(ms) / 1000;
    if (s < 10) return "now";
    const units = [["d", 86400], ["h", 3600], ["min", 60]];
    let said = Math.floor(s) + " s";
    for (let at = 0; at < units.length; at++) {
      const [unit, size] = units[at];
      if (s < size) continue;
      const count = Math.floor(s / size), rest = s - count * size, next = units[at + 1];
      said = count + " " + unit + (next && count < 10 && rest >= next[1] ? " " + Math.floor(rest / next[1]) + " " + next[0] : "");
      break;
    }
    return ms > 0 ? "in " + said : said + " ago";
  }

  function tick() {
    for (const one of document.querySelectorAll("time[datetime]")) {
      const text = distance(new Date(one.dateTime) - Date.now());
      if (one.textContent !== text) one.textContent = text;
    }
  }

  // What a reader has unfolded stays so when the part is shown anew; the server sends it folded.
  if (window.Idiomorph) {
    Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.localName === "details");
  }

  // On a phone the row of pages is wider than the window: the one that is open is in its middle.
  const pages = document.querySelector(".top nav"), here = pages && pages.querySelector("[aria-current]");
  if (here) pages.scrollLeft = here.offsetLeft - pages.offsetLeft - (pages.clientWidth - here.offsetWidth) / 2;

  if (after) open();
  setInterval(tick, TICK_MS);
  setInterval(() => { if (source) mark(() => true); }, LOOK_MS); // what no event tells of, such as the word of a health check
})();
