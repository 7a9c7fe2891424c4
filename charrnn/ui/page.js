// What the page does beside Gradio. It runs before Gradio does, in sections:
// language; buttons, news of a run, temperatures; reloads; accessibility.
// Clicks are answered by delegation, so that what the page shows stays plain
// escaped HTML; `charrnn` holds what Gradio's own events call.

// --- language: the one chosen here, else the one that the server says -------------
(() => {
  const KEY = "charrnn_lang", html = document.documentElement;
  let chosen = null;
  try { chosen = localStorage.getItem(KEY); } catch (_) {}
  if (chosen) html.lang = chosen;
  // Gradio translates into the first language of the browser
  Object.defineProperty(navigator, "language", { get: () => html.lang });
  Object.defineProperty(navigator, "languages", { get: () => [html.lang] });

  const remember = (lang) => {
    const path = new URL(".", document.baseURI).pathname;
    document.cookie = `${KEY}=${lang}; SameSite=Lax; Max-Age=31536000; Path=${path}`;
  };
  if (chosen) remember(chosen);
  // in a frame of another site there are no cookies: a header says it
  if (chosen && !document.cookie.includes(`${KEY}=${chosen}`)) {
    const plain = window.fetch;
    window.fetch = (input, init) => {
      const request = new Request(input, init);
      if (new URL(request.url).origin === location.origin)
        request.headers.set("X-Charrnn-Lang", chosen);
      return plain(request);
    };
  }
  document.addEventListener("change", (event) => {
    if (event.target.id !== "language") return;
    try { localStorage.setItem(KEY, event.target.value); } catch (_) {}
    remember(event.target.value);
    location.reload();  // what was entered comes back
  });
})();

// --- buttons, news of the followed run, temperatures ------------------------------
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
    if (button.dataset.act === "link") {
      const href = button.dataset.href
        ?? button.parentElement.querySelector("a").getAttribute("href");
      await copy(new URL(href, location.href).href);
    }
    flash(button, button.dataset.done);
  });

  // what stands still in the plot has its name beside it, out of the legend
  const NAMED = 3;  // of the legend: best, guessing, n-grams
  const BESIDE_BEST = 110;  // px from the right, where the best has its name
  const nameLine = (plot, item) => {
    const stroke = `[stroke="${item.dataset.colour}"]`;
    const line = plot.querySelector(`.mark-line path${stroke}`);
    const drawn = line?.getAttribute("d");
    let name = plot.querySelector(`.line-name[data-colour="${item.dataset.colour}"]`);
    if (!drawn) { name?.remove(); return; }
    if (!name) {
      name = document.createElement("span");
      name.className = "line-name";
      name.dataset.colour = item.dataset.colour;
      name.ariaHidden = true;  // the legend says it
      plot.append(name);
    }
    const at = line.getBoundingClientRect(), frame = plot.getBoundingClientRect();
    name.textContent = item.textContent;
    name.style.top = `${at.top - frame.top - (at.width < 20 ? 24 : 20)}px`;
    // curves begin high: at the left of the n-grams' line there is room, until they
    // cross it; from then on there is at the right, beside the name of the best
    const [best, ngrams] = [3, 5].map((place) => item.parentElement.children[place]);
    const dot = plot.querySelector(`path[stroke="${best?.dataset.colour}"][d^="M"]`)
      ?.getBoundingClientRect();
    const left = item === ngrams && !(dot?.top > at.top);
    const beside = item === ngrams && at.right - dot?.right < BESIDE_BEST;
    const right = Math.max(4, frame.right - at.right - 60) + (beside ? BESIDE_BEST : 0);
    name.style.left = left ? `${at.left - frame.left + 6}px` : "";
    name.style.right = left ? "" : `${right}px`;
  };
  const nameLines = (tries = 20) => setTimeout(() => {  // once Vega has drawn
    const plot = document.querySelector("#plot");
    const items = [...document.querySelectorAll("#legend li")].slice(3, 3 + NAMED);
    if (items.length && plot?.querySelector('svg .mark-line path[d^="M"]')) {
      for (const item of items) nameLine(plot, item);
    } else if (tries) nameLines(tries - 1);  // a busy machine draws later
  }, 400);
  addEventListener("resize", () => nameLines());

  // Ask whether anything is new of the followed run; then have Gradio fetch it.
  const polling = (() => {
    const IDLE = 5;  // seconds, where the server says nothing else
    const HIDDEN = 30;  // seconds at least while the tab is hidden: the title alone
    let run = "", seen = "", waking = "", timer, round = 0;
    const wake = () => document.querySelector("#wake")?.click();
    const inView = () => document.querySelector("#watch")?.checkVisibility();
    // something trains: the tab and the window's title say so
    const mark = (running) => {
      const word = document.querySelector("#working-word")?.textContent.trim();
      const name = document.title.replace(/^● .* · /, "");
      document.title = running ? `● ${word} · ${name}` : name;
      const tab = document.querySelector("#train-view-button");
      if (!tab) return;
      tab.classList.toggle("working", running);
      if (running) tab.ariaLabel = `${tab.textContent.trim()}, ${word}`;
      else tab.removeAttribute("aria-label");
    };
    const look = async () => {
      const url = new URL("charrnn/poll", location.href);
      url.search = new URLSearchParams({ run, seen });
      const answer = await fetch(url, { cache: "no-store" });
      const wait = answer.headers.get("charrnn-wait");
      mark(answer.headers.get("charrnn-running") === "1");
      return [wait === null ? IDLE : Number(wait),
              answer.status === 200 ? (await answer.json()).token : seen];
    };
    const ask = async () => {
      const mine = ++round;  // only the latest question goes on
      clearTimeout(timer);
      let wait = IDLE;
      try {
        let token;
        [wait, token] = await look();
        if (mine !== round) return;
        if (token !== seen && inView() && !document.hidden) {
          waking ||= token;  // while Gradio fetches, a further call is dropped
          wake();
        }
      } catch (_) {
        if (mine !== round) return;
        if (!document.hidden) wake();  // Gradio says that the server is gone, and waits
      }
      if (wait && document.hidden) wait = Math.max(wait, HIDDEN);
      if (wait) timer = setTimeout(ask, 1000 * wait);
    };
    document.addEventListener("visibilitychange", ask);
    timer = setTimeout(ask, 1000);
    return {
      ask,
      follow: (id) => { run = id; seen = waking = ""; ask(); nameLines(); },
      shown: () => { seen = waking; waking = ""; nameLines(); },
      // what was drawn anew may have been read before another change was shown
      redrawn: () => { seen = ""; nameLines(); },
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
    nameLines,
    // the run that Train has just started, if it stands out of view
    showRun: () => {
      const top = run()?.getBoundingClientRect().top ?? 0;
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      if (top < 0 || top > innerHeight / 2)
        run().scrollIntoView({ behavior: still ? "auto" : "smooth" });
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
    download: (name) => document.getElementById(name).click(),
  };
})();
setInterval(() => charrnn.showAlive(), 60_000);

// --- a reload is ordinary: form, tab and the texts so far come back ---------------
Object.assign(window.charrnn, (() => {
  const PREFIX = "charrnn.kept.", PLACE = "charrnn.place";
  const LARGEST = 1_000_000;  // characters of one value; a tab's storage holds five
  const SAME = { __type__: "update" };
  const asked = () => {  // what the address asks for, the tab aside
    const query = new URLSearchParams(location.search);
    query.delete("tab");
    return query.toString() + location.hash;
  };
  const write = (name, value) => {
    const text = JSON.stringify(value);
    try {
      if (text.length <= LARGEST) sessionStorage.setItem(PREFIX + name, text);
      else sessionStorage.removeItem(PREFIX + name);
    } catch (_) {}  // full, or not allowed: then a reload starts anew
  };
  const read = () => {
    const found = {};
    try {
      const same = sessionStorage.getItem(PLACE) === asked();
      for (const key of Object.keys(sessionStorage)) {
        if (!key.startsWith(PREFIX)) continue;
        if (same) found[key.slice(PREFIX.length)] =
          JSON.parse(sessionStorage.getItem(key));
        else sessionStorage.removeItem(key);  // another link was opened here
      }
      sessionStorage.setItem(PLACE, asked());
    } catch (_) {}
    return found;
  };
  const found = read();
  const hasTexts = !!Object.keys(found.texts?.cards ?? {}).length;
  const named = (name) => new URLSearchParams(location.hash.slice(1)).has(name);
  // what stands there for a first visitor is not seen by others until it is gone
  const returned = (yes) => document.documentElement.classList.toggle("returned", yes);
  returned(named("model") || hasTexts || "model" in found);
  // a value is kept only once what was kept of it has been put back: else a page that
  // is left while it opens would keep the values it opened with
  const waiting = new Set(Object.keys(found));

  const card = (id) => document.querySelector(`#${id} article.card`);
  let forgotten = false;  // the visitor has had all of their data deleted
  const keepTexts = () => {
    if (forgotten) return;
    const writing = document.querySelector("#stop-writing:not([disabled])");
    const status = document.querySelector("#writing-status .html-container");
    const texts = {};
    for (const written of document.querySelectorAll("article.card:not(.stored) .written")) {
      const id = written.closest("[id^=card-], #single")?.id;
      if (id) texts[id] = written.closest("article").outerHTML;
    }
    write("texts", {
      cut: !!writing,
      single: !!card("single")?.checkVisibility(),
      status: writing ? "" : status?.innerHTML ?? "",
      cards: texts,
    });
    try { sessionStorage.setItem(PLACE, asked()); } catch (_) {}
  };
  addEventListener("pagehide", keepTexts);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) keepTexts();
  });

  const word = (name) =>
    document.querySelector(`#page-words [data-name="${name}"]`)?.textContent ?? "";
  const cutOff = (source) => {  // a card as it was, marked as cut off
    const article = new DOMParser().parseFromString(source, "text/html").body
      .firstElementChild;
    article.querySelector(".cut")?.remove();
    const line = document.createElement("p");
    line.className = "note warn cut";
    const button = document.createElement("button");
    Object.assign(button, { className: "tool", type: "button" });
    button.dataset.act = "write-on";
    button.textContent = word("write-on");
    line.append(word("cut-off"), " ", button);
    article.append(line);
    return article.outerHTML;
  };
  const put = (selector, value) => {
    const field = document.querySelector(selector);
    if (!field) return;
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new Event("change", { bubbles: true }));
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button[data-act=write-on]");
    const written = button?.closest("article").querySelector(".written");
    if (written) charrnn.goOn(written, written.textContent, "");
  });

  const FIRST = "generate";
  const tabNamed = () => {
    const query = new URLSearchParams(location.search);
    return query.get("tab") ?? (query.get("run") ? "train" : FIRST);
  };
  // the tab stands in the address, and Back goes to the one before
  const tabShown = (id) => {
    if (tabNamed() === id) return;
    const url = new URL(location.href);
    url.searchParams.set("tab", id);
    history.pushState(history.state, "", url);
  };
  document.addEventListener("click", (event) => {
    const tab = event.target.closest?.("[role=tab][data-tab-id]");
    if (tab) tabShown(tab.dataset.tabId);
  });
  addEventListener("hashchange", () => {  // a long link, opened in this very page
    if (!named("model") && !named("look")) return;
    charrnn.forget();  // what is kept belongs to the link before
    location.reload();
  });
  addEventListener("popstate", () =>
    document.querySelector(`[role=tab][data-tab-id="${tabNamed()}"]`)?.click());

  return {
    word,
    keep: (name, value) => { if (!waiting.has(name)) write(name, value ?? null); },
    forget: () => {
      forgotten = true;
      for (const key of Object.keys(sessionStorage))
        if (key.startsWith(PREFIX)) sessionStorage.removeItem(key);
    },
    // nothing is kept that would stand where a first visitor finds texts of a model
    isFirst: (model) => {
      const first = (found.model ?? model) === model && !hasTexts;
      returned(named("model") || !first);
      return first;
    },
    // fill a field as if it were typed into
    put,
    kept: (names) => names.map((name) => {
      waiting.delete(name);
      return name in found ? { ...SAME, value: found[name] } : SAME;
    }),
    // two rows, the cards of `ids` and the status, which is the last of them
    keptTexts: (ids) => {
      const kept = found.texts;
      if (!kept || !Object.keys(kept.cards ?? {}).length)
        return [SAME, SAME, ...ids.map(() => SAME)];
      const html = (id) => {
        if (id === "writing-status")
          return kept.status ? { ...SAME, value: kept.status } : SAME;
        const text = kept.cards[id];
        return text ? { ...SAME, value: kept.cut ? cutOff(text) : text } : SAME;
      };
      return [{ ...SAME, visible: !kept.single }, { ...SAME, visible: kept.single },
              ...ids.map(html)];
    },
  };
})());

// --- accessibility: what Gradio's components leave out ----------------------------
(() => {
  const all = (selector, root = document) => root.querySelectorAll(selector);
  const set = (element, name, value) => {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  };
  const word = (name) => charrnn.word(name);
  const title = (block) =>
    block?.querySelector("[data-testid=block-info]")?.textContent.trim() ?? "";

  const nameFields = () => {
    for (const group of all("fieldset")) if (title(group))
      set(group, "aria-label", title(group));
    for (const range of all("input[type=range]")) {
      const block = range.closest(".block"), name = title(block);
      if (!name) continue;  // the film's slider, which has its own
      set(range, "aria-label", name);
      const number = block.querySelector("input[type=number]");
      if (number) set(number, "aria-label", `${name}, ${word("as-number")}`);
    }
    for (const text of all("#prompt textarea, #pasted textarea, #stop-string textarea"))
      set(text, "dir", "auto");
  };
  const nameTexts = () => {
    for (const card of all("article.card")) {
      const place = card.closest("[id^=card-], #single")?.id ?? "";
      const slider = place === "single" ? "one-temperature"
        : place.replace("card", document.documentElement.dataset.by ?? "temperature");
      const name = title(document.getElementById(slider));
      if (!name) continue;
      set(card, "aria-label", name);
      for (const button of all("button[data-act]", card))
        set(button, "aria-label", `${button.textContent}, ${name}`);
    }
  };
  const nameMessages = () => {
    for (const { firstChild: name } of all(".toast-title.error"))
      if (name && name.data !== `${word("error")} `) name.data = `${word("error")} `;
  };
  const tellStates = () => {
    for (const button of all("button.label-wrap"))
      set(button, "aria-expanded", String(button.classList.contains("open")));
    for (const field of all("[aria-invalid]"))
      if (!field.closest(".wrong")) field.removeAttribute("aria-invalid");
    for (const field of all(".wrong :is(input, textarea)"))
      set(field, "aria-invalid", "true");
    for (const tab of all("[role=tab]"))
      set(tab, "tabindex", tab.ariaSelected === "true" ? "0" : "-1");
  };

  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest?.("[role=tab]");
    if (!tab) return;
    const tabs = [...all("[role=tab]", tab.closest("[role=tablist]"))];
    const at = tabs.indexOf(tab), count = tabs.length;
    const next = { ArrowRight: (at + 1) % count, ArrowLeft: (at + count - 1) % count,
                   Home: 0, End: count - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    tabs[next].click();
    tabs[next].focus();
  });

  // what had the focus is gone or disabled: the nearest button takes it
  let last = null, around = [];
  document.addEventListener("focusin", (event) => {
    last = event.target;
    around = [];
    for (let e = last.parentElement; e && e.tagName !== "MAIN"; e = e.parentElement)
      around.push(e);
  });
  const lost = () => last && (!last.isConnected || last.disabled
    || !last.checkVisibility({ visibilityProperty: true }));
  const keepFocus = () => {
    const now = document.activeElement;
    if (!lost() || (now !== document.body && now !== last)) return;
    const usable = (e) => e.checkVisibility({ visibilityProperty: true });
    for (const part of around) {
      if (!part.isConnected) continue;
      const button = [...all("button:not(:disabled)", part)].find(usable);
      if (button) { button.focus({ preventScroll: true }); return; }
    }
  };

  let asked = false;
  const dress = () => {
    asked = false;
    for (const part of [nameFields, charrnn.nameTemperatures, nameTexts, nameMessages,
                        tellStates, keepFocus]) part();
  };
  new MutationObserver(() => {
    if (!asked) requestAnimationFrame(dress);
    asked = true;
  }).observe(document.documentElement, { subtree: true, childList: true,
    attributes: true, attributeFilter: ["class", "disabled", "aria-selected"] });
})();
