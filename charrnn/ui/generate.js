// What the Generate tab does in the browser by itself. What moves under the finger is
// computed here, from logits that were asked for once.
Object.assign(charrnn, (() => {
  const $ = (selector) => document.querySelector(selector);
  const number = (selector, otherwise) => {
    const value = parseFloat($(`${selector} input`)?.value);
    return Number.isFinite(value) ? value : otherwise;
  };
  const fill = (pattern, values) =>
    pattern.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const SIGNS = { "\n": "⏎", " ": "␣", "\t": "⇥" };
  const sign = (character) => SIGNS[character] ?? character;
  const percent = (share) =>
    share >= 0.0995 ? `${Math.round(100 * share)}%`
      : share >= 0.00095 ? `${(100 * share).toFixed(1)}%`
        : share ? "<0.1%" : "0%";
  const session = Array.from(crypto.getRandomValues(new Uint32Array(4)),
    (part) => part.toString(16)).join("");

  // Ask the page's process; the latest question alone is answered. Where a hosted page
  // says to wait, the question is put again.
  const asker = () => {
    let control;
    return async (model, prompt, step = null) => {
      control?.abort();
      const { signal } = control = new AbortController();
      const body = JSON.stringify({ model, prompt, session, step });
      while (!signal.aborted) {
        const answer = await fetch(new URL("charrnn/next", location.href), {
          method: "POST", body, signal, headers: { "content-type": "application/json" },
        });
        const found = await answer.json();
        if (!found.wait) return found;
        await new Promise((done) => setTimeout(done, 1000 * found.wait));
      }
      throw signal.reason;
    };
  };

  // --- what may come next after the prompt, as bars
  const next = (() => {
    const REST = 150, SAID = 1200;  // ms after the last key; until it is announced
    const WIDTH = 40;  // px of a bar at least
    const ask = asker();
    let found = null, frame = 0, width = 0, typing, saying;
    let slider = "temperature-2", cutter = "top_p-0";  // touched last
    let given = { topK: 0, topP: 1 };  // the form's, where its fields are folded away
    const settings = () => {
      const { by } = document.documentElement.dataset, columns = by ?? "temperature";
      const temperature = columns === "temperature" ? slider : "one-temperature";
      const topP = columns === "top_p" ? number(`#${cutter}`, 1)
        : number("#top-p", given.topP);
      return {
        temperature: number(`#${temperature}`, 1),
        topK: Math.max(0, Math.floor(number("#top-k", given.topK))),
        topP: Math.min(1, Math.max(1e-6, topP)),
      };
    };
    const bar = () => {
      const item = document.createElement("li");
      item.innerHTML = '<div class="rod"><i></i></div><b></b><span></span>';
      return item;
    };
    const draw = () => {
      frame = 0;
      const strip = $("#next-strip"), bars = $("#next-bars");
      if (!strip || !found?.logits) return;
      const { ranked, kept, before, after } =
        charrnnSampling.distribution(found.logits, settings());
      width ||= bars.clientWidth;  // to ask again would lay the page out anew
      const room = Math.max(6, Math.floor(width / WIDTH));
      const shown = ranked.slice(0, room);
      const share = (i, place) => (place < kept ? after : before)[i];
      const highest = Math.max(...shown.map(share));
      while (bars.children.length < shown.length) bars.append(bar());
      Array.from(bars.children).forEach((item, place) => {
        item.hidden = place >= shown.length;
        if (item.hidden) return;
        const i = shown[place], part = share(i, place);
        const [rod, name, figure] = item.children;
        rod.firstChild.style.transform = `scaleY(${part / highest})`;
        name.textContent = sign(found.characters[i]);
        figure.textContent = percent(part);
        item.classList.toggle("out", place >= kept);
        item.classList.toggle("first-out", place === kept);
      });
      const { temperature } = settings();
      $("#next-setting").textContent = fill(strip.dataset.at, {
        temperature: temperature.toFixed(2), name: charrnn.temperatureWord(temperature),
      });
      const filtered = temperature > 0 && kept < ranked.length;
      $("#next-cut").textContent = filtered ? strip.dataset.cut : "";
      clearTimeout(saying);
      saying = setTimeout(say, SAID);
    };
    const say = () => {
      const items = [...document.querySelectorAll("#next-bars li:not(.out, [hidden])")];
      const list = items.slice(0, 5).map((item) =>
        `${item.children[1].textContent} ${item.children[2].textContent}`).join(", ");
      const said = fill($("#next-strip").dataset.said, { list });
      if ($("#next-said").textContent !== said) $("#next-said").textContent = said;
    };
    const redraw = () => { frame ||= requestAnimationFrame(draw); };
    // What writes with a large model ends after a minute without a question: whoever
    // comes back with the pointer has it started again before they press.
    const RESTS = 45_000;  // ms
    let latest = null, asked = 0;
    const look = async (model, prompt) => {
      latest = [model, prompt];
      asked = performance.now();
      try {
        const answer = await ask(model, prompt);
        $("#next-note").textContent = answer.error ?? "";
        if (answer.error) return;
        found = answer;
        width = 0;
        redraw();
      } catch (_) {}  // a later prompt, or no server: Gradio says that
    };
    const touch = (event) => {
      const touched = event.target.closest?.(".temperature, .by-top_p");
      if (touched?.matches(".temperature")) slider = touched.id;
      else if (touched) cutter = touched.id;
      if (touched || event.target.closest?.("#top-k, #top-p")) redraw();
    };
    document.addEventListener("input", touch);
    document.addEventListener("focusin", touch);
    document.addEventListener("pointerover", () => {
      const rested = latest && performance.now() - asked > RESTS;
      if (rested && $("#next-strip")?.checkVisibility()) look(...latest);
    });
    addEventListener("resize", () => { width = 0; redraw(); });
    return {
      redraw,
      filter: (topK, topP) => {
        given = { topK: topK ?? 0, topP: topP ?? 1 };
        if (found) redraw();
      },
      ask: (model, prompt) => {
        clearTimeout(typing);
        if (model) typing = setTimeout(() => look(model, prompt ?? ""), REST);
      },
    };
  })();
  // --- characters: what stands in the columns, one element each, made when needed
  const characters = (() => {
    const split = (written, bits) => {
      const texts = [], walker = document.createTreeWalker(written, NodeFilter.SHOW_TEXT);
      while (walker.nextNode())
        if (!walker.currentNode.parentElement.closest(".prompt"))
          texts.push(walker.currentNode);
      let at = 0;
      for (const text of texts) {
        const parts = document.createDocumentFragment();
        for (const character of text.data) {
          const part = document.createElement("span");
          part.className = `ch p${charrnnSampling.surpriseStep(bits[at++] ?? 0)}`;
          part.textContent = character;
          parts.append(part);
        }
        text.replaceWith(parts);
      }
    };
    // the elements of a finished text, in its order; none while it is written
    const of = (written) => {
      const data = written?.closest(".card")?.querySelector(".bits")?.dataset.bits;
      if (!data) return [];
      if (!written.querySelector(".ch")) split(written, data.split(" ").map(Number));
      return [...written.querySelectorAll(".ch")];
    };
    return { of };
  })();

  // --- colour by surprise
  let coloured = false, painting = 0;
  const paint = () => {
    painting = 0;
    for (const bits of document.querySelectorAll(".card .bits"))
      characters.of(bits.closest(".card").querySelector(".written"));
  };
  const colour = (on) => {
    coloured = on;
    document.documentElement.classList.toggle("coloured", on);
    if (on) paint();
  };
  new MutationObserver(() => {
    if (coloured) painting ||= requestAnimationFrame(paint);
  }).observe(document.documentElement, { subtree: true, childList: true });

  // --- a character that is touched: what else could stand there, and going on with it
  const choice = (() => {
    const SHOWN = 10, LONGEST = 10_000;  // characters of a prompt
    const ask = asker();
    let panel = null, current = null, chosen = "";
    const make = (name, text = "", more = {}) =>
      Object.assign(document.createElement(name), { textContent: text, ...more });
    const close = () => {
      if (!panel) return;
      panel.remove();
      panel = null;
      current?.closest(".written")?.focus({ preventScroll: true });
    };
    const mark = (character) => {
      current?.classList.remove("at");
      (current = character)?.classList.add("at");
    };
    // the text up to a character, which is left out
    const before = (written, character) => {
      const range = document.createRange();
      range.setStart(written, 0);
      range.setEndBefore(character);
      return range.toString();
    };
    const goOn = (written, text, character) => {
      const query = new URLSearchParams(written.dataset.link);
      const prompt = written.querySelector(".prompt").textContent;
      const left = Number(query.get("length")) - [...text].length - 1
        + [...prompt].length;
      query.set("prompt", [...text + character].slice(-LONGEST).join(""));
      query.set("length", Math.max(100, left));
      const id = written.closest("[id^=card-], #single").id;
      chosen = `${id.replace("card-", "")} ${query}`;
      close();
      $("#go-on").click();
    };
    const table = (written, text, character, found) => {
      const words = $("#next-strip").dataset, query =
        new URLSearchParams(written.dataset.link);
      const temperature = Number(written.dataset.temperature);
      const plain = charrnnSampling.distribution(found.logits, { temperature: 1 });
      const drawn = charrnnSampling.distribution(found.logits, { temperature,
        topK: Number(query.get("top_k") ?? 0), topP: Number(query.get("top_p") ?? 1) });
      const rows = make("table"), head = rows.createTHead().insertRow();
      head.append(make("td"), make("th", words.one),
        make("th", fill(words.column, { temperature })));
      const body = rows.createTBody();
      for (const i of plain.ranked.slice(0, SHOWN)) {
        const name = sign(found.characters[i]), row = body.insertRow();
        const label = fill(words.goOn, { character: name });
        const put = make("button", name,
          { type: "button", className: "put", title: label, ariaLabel: label });
        put.onclick = () => goOn(written, text, found.characters[i]);
        if (found.characters[i] === character) row.className = "now";
        row.insertCell().append(put);
        row.insertCell().textContent = percent(plain.before[i]);
        row.insertCell().textContent = percent(drawn.after[i]);
      }
      return rows;
    };
    const show = (character, inside) => {
      const words = $("#next-strip").dataset;
      panel?.remove();
      panel = make("div", "", { id: "choice", role: "dialog", ariaLabel: words.choice });
      const head = make("header"), end =
        make("button", words.close, { type: "button", className: "tool" });
      end.onclick = close;
      head.append(make("strong", words.choice), end);
      panel.append(head, inside);
      $(".gradio-container").append(panel);
      const frame = $(".gradio-container").getBoundingClientRect();
      const place = character.getBoundingClientRect();
      const right = frame.width - panel.offsetWidth - 12;
      panel.style.left = `${Math.max(12, Math.min(place.left - frame.left, right))}px`;
      panel.style.top = `${place.bottom - frame.top + 6}px`;
      panel.querySelector(".put")?.focus({ preventScroll: true });
    };
    const open = async (character) => {
      const written = character.closest(".written"), text = before(written, character);
      mark(character);
      try {
        const query = new URLSearchParams(written.dataset.link);
        const found = await ask(query.get("model"), text,
          Number(query.get("steps")) || null);
        if (current !== character || !character.isConnected) return;
        show(character, found.error ? make("p", found.error)
          : table(written, text, character.textContent, found));
      } catch (_) {}
    };
    // the character at a place, or the nearest one where that is between two lines
    const under = (x, y) => {
      const element = document.elementFromPoint(x, y);
      if (element?.matches(".ch")) return element;
      const caret = document.caretPositionFromPoint?.(x, y)?.offsetNode
        ?? document.caretRangeFromPoint?.(x, y)?.startContainer;
      return caret?.parentElement?.closest(".ch");
    };
    document.addEventListener("click", (event) => {
      if (event.target.closest?.("#choice")) return;
      const written = event.target.closest?.(".card .written");
      if (!written || !getSelection().isCollapsed) { close(); return; }
      if (!characters.of(written).length) return;
      const touched = under(event.clientX, event.clientY);
      if (touched) open(touched); else close();
    });
    const STEPS = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 20, ArrowUp: -20 };
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
      const written = event.target;
      if (!written.matches?.(".card .written")) return;
      const all = characters.of(written), at = all.indexOf(current);
      if (!all.length) return;
      if (event.key === "Enter" && at >= 0) open(all[at]);
      else if (!STEPS[event.key]) return;
      else mark(all[Math.max(0, Math.min(all.length - 1,
        at < 0 ? 0 : at + STEPS[event.key]))]);
      event.preventDefault();
    });
    return { place: () => chosen, goOn };
  })();

  // --- a text says so where the form now asks for another than it
  const earlier = (() => {
    let form = {}, asked = 0;
    const differs = (value, other) =>
      Number.isFinite(value) && Math.abs(value - Number(other)) > 1e-9;
    // what the form asks for in the place of a text
    const wanted = (place) => {
      const { by, shared, columns } = form;
      if (!by || place === "single") return shared;
      return { ...shared, [by]: columns[by][Number(place.replace("card-", ""))] };
    };
    // in which settings of its own a text differs from what is wanted
    const others = (written, want) => {
      const query = new URLSearchParams(written.dataset.link);
      return {
        temperature: differs(want.temperature, written.dataset.temperature),
        model: !!want.model && want.model !== query.get("model"),
        step: (want.step ?? "") !== (query.get("steps") ?? ""),
        top_p: differs(want.top_p, query.get("top_p")),
      };
    };
    const word = (written, line) => {
      if (!form.by) return "";
      const place = written.closest("[id^=card-], #single")?.id ?? "single";
      const other = others(written, wanted(place));
      if (other[line.dataset.by]) return line.dataset.at;
      const query = new URLSearchParams(written.dataset.link);
      const prompt = written.querySelector(".prompt").textContent;
      // what was gone on with from a character has a length of its own
      const begun = prompt === $("#prompt textarea")?.value;
      const changed = Object.values(other).some(Boolean)
        || form.stop !== (query.get("stop") ?? "")
        || differs(form.seed, query.get("seed"))
        || differs(form.topK, query.get("top_k"))
        || (begun && differs(form.length, query.get("length")));
      return changed ? line.dataset.since : "";
    };
    const look = () => {
      asked = 0;
      const writing = $("#stop-writing:not([disabled])");
      for (const line of document.querySelectorAll(".card .earlier")) {
        const card = line.closest(".card");
        const text = writing ? "" : word(card.querySelector(".written"), line);
        if (line.textContent === text) continue;
        line.textContent = text;
        card.classList.toggle("stale", !!text);
      }
    };
    const ask = () => { asked ||= requestAnimationFrame(look); };
    new MutationObserver(ask).observe(document.documentElement,
      { subtree: true, childList: true, attributeFilter: ["disabled"] });
    const ENTERED = { n: "\n", t: "\t", "\\": "\\" };  // as `links.read_stop`
    return {
      earlier: (model, entered, length, seed, newSeed, topK, top_p, temperature, by,
        ...fields) => {
        const count = fields.length / 4;
        const columns = {};
        ["temperature", "model", "step", "top_p"].forEach((name, i) => {
          columns[name] = fields.slice(i * count, (i + 1) * count);
        });
        const stop = (entered ?? "").replace(/\\([nt\\])/g, (_, sign) => ENTERED[sign]);
        form = { stop, length, seed: newSeed ? null : seed, topK, by, columns,
          shared: { model, top_p, temperature, step: null } };
        next.filter(topK, top_p);
        ask();
      },
      temperatureMoved: (id, value) => {
        charrnn.nameTemperature(id, value);
        if (!form.by) return;
        if (id === "one-temperature") form.shared.temperature = value;
        else form.columns.temperature[Number(id.replace("temperature-", ""))] = value;
        ask();
      },
    };
  })();

  // --- a beginning that is chosen becomes the prompt
  document.addEventListener("click", (event) => {
    const chip = event.target.closest?.("button[data-act=example]");
    if (chip) charrnn.put("#prompt textarea", chip.dataset.prompt);
  });

  // --- what the columns differ in: each has the field of that
  const compareBy = (by) => {
    document.documentElement.dataset.by = by;
    next.redraw();
  };

  // --- Stop leaves seed and link; Ctrl+Enter in the prompt compares
  const stopped = (where = "main") => {
    for (const line of document.querySelectorAll(`${where} .after-stop`)) {
      line.parentElement.querySelector("p[role=status]")?.remove();
      line.hidden = false;
    }
  };
  document.addEventListener("keydown", (event) => {
    const asked = event.key === "Enter" && (event.ctrlKey || event.metaKey);
    if (asked && event.target.closest?.("#prompt")) $("#compare").click();
  });
  // a press ends what another one has begun
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#draw-curve")) stopped("#writing-status");
    if (event.target.closest?.("#compare, #generate-one, #go-on")) stopped("#curve-said");
  }, true);

  return { next, colour, compareBy, stopped, ...earlier, ...choice };
})());
