// What the Inside tab does in the browser by itself: a character of the map is shown
// while a mouse rests on it and chosen by press or key, and the page's process is asked about it once the keys rest. It
// is asked one thing at a time; what is wanted meanwhile waits here. Links are composed
// and opened here: what they carry stands in the page.
Object.assign(charrnn, (() => {
  const REST = 150;  // ms after the last key
  const PATIENCE = 60_000;  // ms: an answer that is not there by then was lost
  const $ = (selector) => document.querySelector(selector);
  const map = () => $("#inside-map");
  const text = () => map()?.textContent ?? "";
  const hand = () => $("#hand-of")?.dataset ?? {};
  let place = 0, chosen = false, unit = {}, written = "", since = 0;
  let waiting, typing, resting;

  // --- one thing at a time
  const later = (press) => {
    if (since && performance.now() - since < PATIENCE) { waiting = press; return; }
    since = performance.now();
    press();
  };
  const done = () => {
    since = 0;
    const press = waiting ?? opening.shift();
    waiting = undefined;
    settle();
    if (press && map()) later(press);
    else opening.length = 0;
  };
  const begin = (form) => {
    since = performance.now();
    waiting = undefined;
    place = 0;
    chosen = false;
    written = "";
    return form;
  };

  // --- the chosen character
  const mark = (character) => {
    for (const one of map().querySelectorAll(".at, [tabindex]")) {
      one.classList.remove("at");
      for (const name of ["tabindex", "role"]) one.removeAttribute(name);
    }
    character.classList.add("at");
    character.setAttribute("tabindex", "0");
    character.setAttribute("role", "button");
  };
  const settle = () => {  // a map that was coloured anew still has its choice
    const character = place && map()?.children[place];
    if (character && !character.classList.contains("at")) mark(character);
  };
  const ask = () => later(() => $("#inside-ask")?.click());
  const show = (character) => {
    mark(character);
    place = Array.prototype.indexOf.call(map().children, character);
    clearTimeout(typing);
    typing = setTimeout(ask, REST);
  };
  const choose = (character) => {
    chosen = true;
    show(character);
    character.focus();
  };
  const scored = (character) => character && character.previousElementSibling;
  // until a character or a unit is chosen, the one is shown that a mouse rests on
  document.addEventListener("pointerover", (event) => {
    clearTimeout(resting);
    if (chosen || map()?.dataset.unit || event.pointerType !== "mouse") return;
    const under = event.target.closest?.("#inside-map .ch");
    if (under && scored(under))
      resting = setTimeout(() => { if (!chosen && under.isConnected) show(under); }, REST);
  });
  // the nearest character of the line above or below
  const vertical = (from, next) => {
    const start = from.getBoundingClientRect();
    let best = from, line = null;
    for (let one = from[next]; one; one = one[next]) {
      const box = one.getBoundingClientRect();
      if (Math.abs(box.top - start.top) < box.height / 2) continue;
      if (line !== null && Math.abs(box.top - line) > box.height / 2) break;
      line = box.top;
      const distance = Math.abs(box.left - start.left);
      if (best === from
          || distance < Math.abs(best.getBoundingClientRect().left - start.left))
        best = one;
    }
    return best;
  };
  const STEPS = {
    ArrowRight: (from) => from.nextElementSibling,
    ArrowLeft: (from) => from.previousElementSibling,
    ArrowDown: (from) => vertical(from, "nextElementSibling"),
    ArrowUp: (from) => vertical(from, "previousElementSibling"),
    Home: () => map().children[1],
    End: () => map().lastElementChild,
    Enter: (from) => from,
    " ": (from) => from,
  };
  document.addEventListener("keydown", (event) => {
    const from = event.target;
    if (!from.matches?.("#inside-map .ch") || !STEPS[event.key]) return;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const to = STEPS[event.key](from);
    if (scored(to)) choose(to);
  });

  // --- a unit
  const paint = (chosen) => {
    unit = chosen;
    later(() => $("#inside-paint")?.click());
  };
  document.addEventListener("click", (event) => {
    if (!map()) return;
    const touched = event.target.closest?.("#inside-map .ch");
    if (touched && scored(touched) && getSelection().isCollapsed) {
      choose(touched);
      return;
    }
    const listed = event.target.closest?.("#inside-shown button[data-place]");
    if (listed) choose(map().children[Number(listed.dataset.place)]);
    const painted = event.target.closest?.(
      "#inside-units button[data-unit], #inside-shown button[data-unit]");
    if (painted) {
      const { unit, mark = "" } = painted.dataset;
      if (unit && unit !== hand().unit) written = "";
      paint({ unit, mark, value: null });
    }
  });

  // --- links
  const value = () => $("#hand-value input[type=number]")?.value ?? "";
  const link = () => {
    const { model, hash, against, linked } = map().dataset;
    const query = { look: model, hash, against,
                    text: [...text()].slice(0, linked).join("") };
    if (place && place < linked) query.at = place;
    if ($("#inside-units :is(table, p)")) query.units = 1;
    if (hand().unit && $("#hand").checkVisibility()) {
      Object.assign(query, { unit: hand().unit, mark: hand().mark, value: value() });
      if (written === hand().unit) query.held = 1;
      if (!map().dataset.unit) query.plain = 1;
    }
    for (const name of Object.keys(query)) if (!query[name]) delete query[name];
    return `?tab=inside#${new URLSearchParams(query)}`;
  };
  document.addEventListener("click", (event) => {  // before it is copied
    const button = event.target.closest?.("#inside-link");
    if (button && map()) button.dataset.href = link();
  }, true);
  let opening = [];
  const open = () => {
    const query = new URLSearchParams(location.hash.slice(1));
    if (!query.has("look") || $("#inside-note .gone")) return;
    const at = Number(query.get("at")), named = query.get("unit");
    opening = [];
    if (at > 0) opening.push(() => {
      place = at;
      chosen = true;
      settle();
      $("#inside-ask")?.click();
    });
    if (named) opening.push(() => {
      const number = parseFloat(query.get("value"));
      unit = { unit: named, mark: query.get("mark") ?? "",
               value: Number.isFinite(number) ? number : null };
      $("#inside-paint")?.click();
    });
    if (named && query.get("plain")) opening.push(() => {
      unit = { unit: "", mark: "", value: null };
      $("#inside-paint")?.click();
    });
    if (named && query.get("held"))
      opening.push(() => { done(); $("#hand-write")?.click(); });
    $(query.get("units") ? "#inside-search" : "#inside-look")?.click();
  };

  // the text written last on the Generate tab, and the model that wrote it
  const last = (model, given) => {
    const cards = [...document.querySelectorAll(
      "#single .card .written, #columns .card .written")];
    const card = cards.filter((one) => one.dataset.link)
      .find((one) => !one.closest(".hide, .hidden")) ?? null;
    if (!card) return [model, given];
    return [new URLSearchParams(card.dataset.link).get("model"), card.textContent];
  };

  const seen = () => {
    const { model = "", against = "" } = map()?.dataset ?? {};
    return [model, text(), against];
  };
  return {
    inside: {
      begin, done, open, last,
      model: () => seen()[0],
      left: () => $("#compare")?.focus(),
      place: () => [...seen(), place],
      unit: () => [...seen(), unit.unit, unit.mark, unit.value],
      course: () => [...seen().slice(0, 2), hand().unit, hand().mark],
      held: (value) => {
        const { unit, mark } = hand();
        written = unit;
        const [model, read] = seen();
        return [model, read, unit, mark, value];
      },
    },
  };
})());
