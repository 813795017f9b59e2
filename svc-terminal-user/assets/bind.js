// Counts a code down and looks every two seconds whether the phone has scanned it.
(() => {
  "use strict";
  const code = document.getElementById("code");
  if (!code) return;
  const show = (id, visible) => { document.getElementById(id).hidden = !visible; };
  const page = code.dataset.page;
  const ends = Date.now() + Number(code.dataset.left) * 1000;
  let mapping = code.dataset.mapping;

  const tick = () => {
    const left = Math.max(0, Math.ceil((ends - Date.now()) / 1000));
    const time = document.getElementById("left");
    time.textContent = Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0");
    const over = left === 0;
    show("countdown", !over);
    show("expired", over);
    show("renew", over);
    code.classList.toggle("over", over);
    if (!over) setTimeout(tick, 250);
  };

  const look = async () => {
    try {
      const limit = new AbortController();
      const timer = setTimeout(() => limit.abort(), 5000);
      const answer = await fetch(page + "/state", { cache: "no-store", signal: limit.signal });
      if (!answer.ok) throw new Error(String(answer.status));
      const state = await answer.json();
      clearTimeout(timer);
      show("lost", false);
      if (!state.session) return location.replace(page + "?ended");
      if (state.mapping && state.mapping !== mapping) return location.replace(page);
      mapping = state.mapping;
    } catch {
      show("lost", true);
    }
    setTimeout(look, 2000);
  };

  tick();
  setTimeout(look, 1000);
})();
