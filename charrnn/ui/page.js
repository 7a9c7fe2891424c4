// What the page does beside Gradio: copy, save, scroll, and ask for what is new.
// Clicks are answered by delegation, so that what the page shows stays plain
// escaped HTML; `charrnn` holds what Gradio's own events call.
window.charrnn = (() => {
  const flash = (button, word) => {
    const before = button.textContent;
    if (!word || before === word) return;
    button.textContent = word;
    setTimeout(() => { button.textContent = before; }, 1400);
  };
  const copy = async (text) => {
    try { await navigator.clipboard.writeText(text); return; } catch (_) {}
    const area = document.createElement("textarea");  // pages without https
    area.value = text;
    area.style.position = "fixed";
    document.body.appendChild(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };
  const save = (text, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("button[data-act]");
    if (!button) return;
    const card = button.closest(".card");
    const text = card?.querySelector(".written")?.textContent ?? "";
    if (button.dataset.act === "save") save(text, button.dataset.file);
    if (button.dataset.act === "copy") await copy(text);
    if (button.dataset.act === "link")
      await copy(new URL(button.dataset.href, location.href).href);
    flash(button, button.dataset.done);
  });

  // Ask whether anything is new of the followed run; then have Gradio fetch it.
  const polling = (() => {
    const IDLE = 5;  // seconds, where the server says nothing else
    let run = "", seen = "", waking = "", timer, round = 0;
    const wake = () => document.querySelector("#wake")?.click();
    const inView = () => document.querySelector("#watch")?.checkVisibility();
    const look = async () => {
      const url = new URL("charrnn/poll", location.href);
      url.search = new URLSearchParams({ run, seen });
      const answer = await fetch(url, { cache: "no-store" });
      const wait = answer.headers.get("charrnn-wait");
      return [wait === null ? IDLE : Number(wait),
              answer.status === 200 ? (await answer.json()).token : seen];
    };
    const ask = async () => {
      const mine = ++round;  // only the latest question goes on
      clearTimeout(timer);
      if (document.hidden) return;
      let wait = IDLE;
      try {
        let token;
        [wait, token] = await look();
        if (mine !== round) return;
        if (token !== seen && inView()) {
          waking ||= token;  // while Gradio fetches, a further call is dropped
          wake();
        }
      } catch (_) {
        if (mine !== round) return;
        wake();  // Gradio says that the server is gone, and waits for it
      }
      if (wait) timer = setTimeout(ask, 1000 * wait);
    };
    document.addEventListener("visibilitychange", ask);
    timer = setTimeout(ask, 1000);
    return {
      ask,
      follow: (id) => { run = id; seen = waking = ""; ask(); },
      shown: () => { seen = waking; waking = ""; },
      // what was drawn anew may have been read before another change was shown
      redrawn: () => { seen = ""; },
    };
  })();
  // a temperature's name, by its value
  const temperatureWord = (value) => {
    const name = value < 0.4 ? "careful" : value < 0.75 ? "steady"
      : value < 1.05 ? "lively" : "daring";
    const word = document.querySelector(`#temperature-names [data-name="${name}"]`);
    return word?.textContent ?? "";
  };
  const nameTemperature = (id, value) => {
    const label = document.querySelector(`#${id} label span`);
    const word = temperatureWord(value);
    if (label && word) label.dataset.word = word;
  };

  // on a phone the followed run stands below the form: bring it into view
  const narrow = () => innerWidth < 700;
  const run = () => document.querySelector("#watch");
  return {
    ...polling,
    showRun: () => {
      if (narrow()) run()?.scrollIntoView({ behavior: "smooth" });
    },
    showLinkedRun: () => {
      if (narrow() && new URLSearchParams(location.search).has("run"))
        setTimeout(() => run()?.scrollIntoView(), 300);
    },
    temperatureWord,
    nameTemperature,
    nameTemperatures: () => {
      for (const slider of document.querySelectorAll(".temperature"))
        nameTemperature(slider.id, slider.querySelector("[type=range]").value);
    },
    // whoever waits in a queue shows about once a minute that they are still here;
    // browsers let a hidden tab do that, where a timer of Gradio rests
    showAlive: () => document.querySelector("#alive")?.click(),
    downloadZip: () => document.querySelector("#zip-file").click(),
  };
})();
setInterval(() => charrnn.showAlive(), 60_000);
