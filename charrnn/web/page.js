// What a person sees and does on a web page; the model itself runs in a Worker. Every
// text, a stranger's too, is set as text: nothing here is read as markup.
(() => {
  const $ = (id) => document.getElementById(id);
  const make = (name, text = "", kind = "") => {
    const element = document.createElement(name);
    element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };
  const model = JSON.parse($("model").textContent);
  const texts = JSON.parse($("texts").textContent);
  const characters = model.vocabulary.slice(1);  // without [UNK]
  const { unknown } = charrnnEngine.vocabulary(model.vocabulary);

  // --- languages: a message is a key and its values, said again in another language
  let language = "en";
  const stored = (name, value) => {
    try {
      if (value !== undefined) localStorage.setItem(name, value);
      return localStorage.getItem(name);
    } catch { return null; }  // a browser may refuse to keep anything of a file
  };
  const say = (key, values = {}) =>
    texts[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const number = (value) => value.toLocaleString(language);
  let told = ["loading", {}];
  const tell = (key, values = {}) => {
    told = [key, values];
    const sentence = say(key, values);
    if ($("status").textContent !== sentence) $("status").textContent = sentence;
  };
  const word = (temperature) => say(
    temperature < 0.4 ? "word_careful" : temperature < 0.75 ? "word_steady"
      : temperature < 1.05 ? "word_lively" : "word_daring");
  const facts = () => {
    const { cell, layers, units, parameters, corpus, corpus_characters: length, nats,
      format, cost, license, origin } = model.facts;
    const weights = format === "float32" ? say("weights_float32")
      : cost === null ? say("weights_unmeasured", { format })
        : say("weights_measured", { format, cost: (Math.round(1e4 * cost) / 1e4 + 0).toFixed(4) });
    return [
      ["network", say("network_value",
        { cell, layers, units, parameters: number(parameters) })],
      ["corpus", say("corpus_value", { name: corpus, characters: number(length) })],
      ["loss", nats === null ? say("loss_none") : say("loss_value",
        { nats: nats.toFixed(4), bits: (nats / Math.LN2).toFixed(4) })],
      ["weights", weights],
      ["license", license ?? say("license_none")],
      ...(origin === null ? [] : [["from", origin]]),
    ];
  };

  // --- columns
  const TEMPERATURES = [0.2, 0.5, 0.8, 1.1];
  const columns = TEMPERATURES.map((temperature) => {
    const element = $("column").content.cloneNode(true).firstElementChild;
    const find = (selector) => element.querySelector(selector);
    const slider = find("input"), written = find(".written");
    slider.value = temperature;
    $("columns").append(element);
    return {
      element, slider, written, name: find(".name"), copy: find(".copy"),
      touch: find(".touch"), own: null, at: null,
      get temperature() { return slider.valueAsNumber; },
    };
  });
  const named = (column) => {
    const { temperature } = column;
    column.name.textContent = say("temperature",
      { temperature: temperature.toFixed(2), word: word(temperature) });
    column.own?.setAttribute("aria-label",
      say("written_at", { temperature: column.at.toFixed(2) }));
  };
  const begin = (column, prompt) => {
    const own = make("span", "", "own");
    Object.assign(own, { tabIndex: 0, role: "group" });
    column.written.replaceChildren(make("span", prompt, "begun"), own);
    Object.assign(column, { own, at: column.temperature });
    column.copy.hidden = false;
    column.touch.classList.add("known");
    named(column);
  };
  const append = (column, fresh) => column.own.append(...fresh.map(([id, bits]) =>
    make("span", characters[id - 1], `p${charrnnSampling.surpriseStep(bits)}`)));

  // --- what may come next
  let focusBars = false;  // whether the focus shall move to them
  let place = null;  // a touched character: { column, span, before }
  let logits = null, active = columns[2], frame = 0, typing, saying, asked = 0;
  const SIGNS = { "\n": "⏎", " ": "␣", "\t": "⇥" };
  const sign = (character) => SIGNS[character] ?? character;
  const percent = (share) => share >= 0.0995 ? `${Math.round(100 * share)}%`
    : share >= 0.00095 ? `${(100 * share).toFixed(1)}%` : share ? "<0.1%" : "0%";
  const bar = (character, share, highest) => {
    const item = make("li"), button = make("button"), rod = make("span", "", "rod");
    const fill = make("i");
    fill.style.transform = `scaleY(${share / highest})`;
    rod.append(fill);
    button.type = "button";
    button.append(rod, make("b", sign(character)),
      make("span", percent(share), "share"));
    button.addEventListener("click", () => pick(character));
    item.append(button);
    return item;
  };
  const draw = () => {
    frame = 0;
    const { temperature } = active;
    $("next-setting").textContent = say("next_at",
      { temperature: temperature.toFixed(2), word: word(temperature) });
    $("next-title").textContent = place
      ? say("next_instead", { character: sign(place.span.textContent) }) : say("next");
    if (!logits) return;
    const { ranked, after } = charrnnSampling.distribution(logits, { temperature });
    const shown = ranked.slice(0, Math.max(6, Math.floor($("next-bars").clientWidth / 40)));
    const { activeElement } = document;
    const held = Array.from($("next-bars").children).indexOf(activeElement.parentNode);
    $("next-bars").replaceChildren(...shown.map((i) =>
      bar(characters[i], after[i], after[ranked[0]])));
    if (held >= 0 || focusBars)  // the bars are made anew: keep the focus among them
      $("next-bars").children[focusBars ? 0 : Math.min(held, shown.length - 1)]
        .firstChild.focus();
    focusBars = false;
    clearTimeout(saying);
    saying = setTimeout(() => {
      const list = shown.slice(0, 5).map((i) =>
        `${sign(characters[i])} ${percent(after[i])}`).join(", ");
      $("next-said").textContent = say("next_said", { list });
    }, 1200);
  };
  const redraw = () => { frame ||= requestAnimationFrame(draw); };
  const look = (wait) => {
    clearTimeout(typing);
    typing = setTimeout(() => worker.postMessage(
      { kind: "next", id: ++asked, prompt: place?.before ?? $("prompt").value }), wait);
    const strange = unknown($("prompt").value).slice(0, 40).join(" ");
    $("unknown").textContent = strange && say("unknown", { characters: strange });
  };

  // --- writing
  let job = 0, ready = false, writing = null;  // { seed, count, columns }
  const setWriting = (task) => {
    writing = task;
    $("stop").disabled = !task;
    $("write").disabled = !ready;
  };
  const whole = (id, highest, least = 0n) => {
    const text = $(id).value.trim();
    const value = /^[0-9]{1,19}$/.test(text) ? BigInt(text) : -1n;
    const right = value >= least && value <= highest;
    $(id).toggleAttribute("aria-invalid", !right);
    return right ? value : null;
  };
  const write = () => {
    if (!ready) return;
    const length = whole("length", 10000n, 1n), seed = whole("seed", 2n ** 63n - 1n);
    if (length === null || seed === null) {
      tell(length === null ? "length_wrong" : "seed_wrong");
      return;
    }
    leave();
    const prompt = $("prompt").value;
    columns.forEach((column) => begin(column, prompt));
    const rows = columns.map(({ temperature }) => ({ temperature, seed: String(seed) }));
    worker.postMessage({ kind: "write", id: ++job, prompt, length: Number(length), rows });
    setWriting({ seed: String(seed), count: 0 });
    tell("writing", { count: 0 });
  };
  const stop = () => {
    if (!writing) return;
    worker.postMessage({ kind: "stop" });
    job++;
    tell("stopped", { count: number(writing.count), seed: writing.seed });
    setWriting(null);
  };
  // --- a touched character: what else could stand there, and going on with it
  const placed = (there) => {
    $("next-strip").classList.toggle("placed", there);
    $("next-close").hidden = !there;
  };
  const leave = () => {
    if (!place) return;
    place.span.classList.remove("cursor");
    place = null;
    placed(false);
    look(0);
  };
  const mark = (column, span) => {
    column.own.querySelector(".cursor")?.classList.remove("cursor");
    span.classList.add("cursor");
  };
  const touch = (column, span) => {
    leave();
    mark(column, span);
    const spans = Array.from(column.own.children);
    const read = spans.slice(0, spans.indexOf(span)).map((one) => one.textContent);
    place = { column, span, before: column.written.firstChild.textContent + read.join("") };
    active = column;
    logits = null;
    $("next-bars").replaceChildren();
    placed(true);
    redraw();
    look(0);
  };
  // A bar is pressed: go on from the touched place with it, or from the prompt.
  const pick = (character) => {
    const text = (place?.before ?? $("prompt").value) + character;
    $("prompt").value = text.slice(-$("prompt").maxLength);
    $("prompt").scrollTop = $("prompt").scrollHeight;
    if (place) write();
    look(0);
  };
  const move = (column, event) => {
    const old = column.own.querySelector(".cursor");
    const steps = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" };
    if (event.key === "Enter" && old) {
      touch(column, old);
      focusBars = true;
    }
    if (!(event.key in steps)) return;
    event.preventDefault();
    const now = old ? old[steps[event.key]] : column.own.firstElementChild;
    if (!now) return;
    leave();
    mark(column, now);
    now.scrollIntoView({ block: "nearest" });
  };
  const copy = async (column) => {
    try {
      await navigator.clipboard.writeText(column.written.textContent);
      column.copy.textContent = say("copied");
      setTimeout(() => { column.copy.textContent = say("copy"); }, 1500);
    } catch { tell("copy_failed"); }
  };

  // --- the Worker
  const address = URL.createObjectURL(new Blob(
    [$("shared").textContent, $("worker").textContent], { type: "text/javascript" }));
  const worker = new Worker(address);
  const heard = {
    ready: () => {
      ready = true;
      setWriting(null);
      tell("ready");
      look(0);
    },
    next: (message) => {
      if (message.id !== asked) return;
      logits = message.logits;
      redraw();
    },
    text: (message) => {
      if (message.id !== job || !writing) return;
      message.rows.forEach((fresh, row) => append(columns[row], fresh));
      writing.count += message.rows.reduce((sum, fresh) => sum + fresh.length, 0);
      const count = number(writing.count);
      if (!message.done) { tell("writing", { count }); return; }
      const speed = number(Math.round(writing.count / message.seconds));
      tell("done", { count, speed, seed: writing.seed });
      setWriting(null);
    },
    failed: ({ message }) => {
      tell("failed", { message });
      setWriting(null);
    },
  };
  worker.onmessage = ({ data }) => heard[data.kind](data);
  worker.onerror = (event) => heard.failed({ message: event.message ?? "" });
  worker.postMessage({ kind: "load", model, weights: $("weights").textContent });
  $("weights").textContent = "";  // the Worker has them now

  // --- language of the page, and what moves
  const speak = (chosen) => {
    language = chosen in texts ? chosen : "en";
    document.documentElement.lang = $("language").value = language;
    for (const element of document.querySelectorAll("[data-t]"))
      element.textContent = say(element.dataset.t);
    for (const element of document.querySelectorAll("[data-t-label]"))
      element.setAttribute("aria-label", say(element.dataset.tLabel));
    $("facts").replaceChildren(...facts().flatMap(([key, value]) => {
      const cell = make("dd", value);
      cell.dir = "auto";
      return [make("dt", say(key)), cell];
    }));
    columns.forEach(named);
    tell(...told);
    redraw();
    look(0);
  };
  const newSeed = () => { $("seed").value = crypto.getRandomValues(new Uint32Array(1))[0]; };
  const both = (from, to) => $(from).addEventListener("input", () => {
    $(to).value = $(from).value;
  });
  both("length-slider", "length");
  both("length", "length-slider");
  $("language").addEventListener("change", () => {
    stored("charrnn_lang", $("language").value);
    speak($("language").value);
  });
  $("prompt").addEventListener("input", () => {
    leave();
    look(150);
  });
  $("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) write();
  });
  $("coloured").addEventListener("change", () =>
    $("columns").classList.toggle("coloured", $("coloured").checked));
  $("new-seed").addEventListener("click", newSeed);
  $("write").addEventListener("click", write);
  $("stop").addEventListener("click", stop);
  $("next-close").addEventListener("click", leave);
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (place) leave(); else stop();
  });
  addEventListener("resize", redraw);
  for (const column of columns) {
    for (const kind of ["input", "focus"]) {
      column.slider.addEventListener(kind, () => {
        active = column;
        named(column);
        redraw();
      });
    }
    column.copy.addEventListener("click", () => copy(column));
    column.written.addEventListener("click", ({ target }) => {
      if (target.parentNode === column.own && String(getSelection()) === "")
        touch(column, target);
    });
    column.written.addEventListener("keydown", (event) => move(column, event));
  }
  newSeed();
  speak(stored("charrnn_lang") ?? navigator.language.slice(0, 2));
})();
