// What the Inside tab does in the browser by itself: a character of the map is chosen by
// pointer or keyboard, and the page's process is asked about it once the keys rest.
Object.assign(charrnn, (() => {
  const REST = 150;  // ms after the last key
  const $ = (selector) => document.querySelector(selector);
  const map = () => $("#inside-map");
  let place = 0, unit = "", waiting;
  const current = () => map()?.querySelector(".ch.at");
  const ask = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => $("#inside-ask")?.click(), REST);
  };
  const choose = (character) => {
    for (const one of map().querySelectorAll(".at, [tabindex]")) {
      one.classList.remove("at");
      for (const name of ["tabindex", "role"]) one.removeAttribute(name);
    }
    character.classList.add("at");
    character.setAttribute("tabindex", "0");
    character.setAttribute("role", "button");
    character.focus();
    place = Array.prototype.indexOf.call(map().children, character);
    ask();
  };
  const scored = (character) => character && character.previousElementSibling;
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
  document.addEventListener("click", (event) => {
    const touched = event.target.closest?.("#inside-map .ch");
    if (touched && scored(touched) && getSelection().isCollapsed) {
      choose(touched);
      return;
    }
    const listed = event.target.closest?.("#inside-shown button[data-place]");
    if (listed && map()) choose(map().children[Number(listed.dataset.place)]);
    const painted = event.target.closest?.(
      "#inside-units button[data-unit], #inside-shown button[data-unit]");
    if (painted && map()) {
      unit = painted.dataset.unit;
      $("#inside-paint")?.click();
    }
  });
  const seen = () => [map()?.dataset.model ?? "", map()?.textContent ?? ""];
  return {
    inside: { place: () => [...seen(), place], unit: () => [...seen(), unit] },
  };
})());
