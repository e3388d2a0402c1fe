// Tells the manager in which time zone this browser is, so that its pages show times in it. The page is asked for anew once.
"use strict";
(() => {
  const shown = document.getElementById("zone"), mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!shown || !mine) return;
  const pair = "tidegate-zone=" + encodeURIComponent(mine), kept = () => document.cookie.split("; ").includes(pair);
  if (kept()) return;
  document.cookie = pair + "; path=/; max-age=31536000; samesite=lax" + (location.protocol === "https:" ? "; secure" : "");
  if (kept() && !shown.dataset.asked && shown.dataset.zone !== mine) location.reload();
})();
