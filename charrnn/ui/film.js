// A film: a slider goes through its pictures, Play runs them in about ten seconds. Of
// the followed run the server sends the pictures anew when there is another one; the
// moment that was chosen stays, and at the last one the film goes on with the training.
for (const holder of ["#samples", "#unit-course"]) (() => {
  const SECONDS = 10, LONGEST = 2;  // of all of them; of one picture
  let dressed = null;  // the film that is shown
  let chosen = null;  // its step; null: the last one, whichever that is
  let timer = 0, focused = "";
  const film = () => document.querySelector(`${holder} .film`);
  const pictures = () => [...dressed.querySelectorAll(".sample")];

  const show = (index) => {
    const all = pictures(), slider = dressed.querySelector("input");
    const picture = all[index];
    for (const one of all) one.classList.toggle("shown", one === picture);
    slider.value = index;
    const heads = [...picture.querySelectorAll("h4 span")];
    slider.setAttribute("aria-valuetext",
      heads.map((head) => head.textContent).join(", "));
  };
  const choose = (index) => {
    const all = pictures();
    chosen = index < all.length - 1 ? Number(all[index].dataset.step) : null;
    show(index);
  };
  // where the chosen moment is now: its picture, or the last one before it
  const place = () => {
    const steps = pictures().map((one) => Number(one.dataset.step));
    if (chosen === null) return steps.length - 1;
    return Math.max(0, steps.findLastIndex((step) => step <= chosen));
  };

  const tell = () => {
    const button = dressed.querySelector("button");
    button.textContent = timer ? button.dataset.pause : button.dataset.play;
  };
  const pause = () => { clearTimeout(timer); timer = 0; tell(); };
  const next = () => {
    const last = pictures().length - 1, at = place();
    if (at < last) choose(at + 1);
    if (place() >= last) pause();
    else wait();
  };
  const wait = () => {
    const steps = Math.max(1, pictures().length - 1);
    timer = setTimeout(next, 1000 * Math.min(LONGEST, SECONDS / steps));
  };
  const play = () => {
    if (place() === pictures().length - 1) choose(0);
    wait();
    tell();
  };

  document.addEventListener("input", (event) => {
    if (!event.target.matches?.(`${holder} .film input`)) return;
    pause();
    choose(Number(event.target.value));
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(`${holder} .film button`);
    if (button) timer ? pause() : play();
  });
  document.addEventListener("focusin", (event) => {
    const inside = event.target.closest?.(`${holder} .film`);
    focused = inside ? event.target.localName : "";
  });
  new MutationObserver(() => {
    const now = film();
    if (now === dressed) return;
    const run = dressed?.dataset.run;
    dressed = now;
    if (!now || now.dataset.run !== run) {
      clearTimeout(timer);
      [timer, chosen] = [0, null];
      return;
    }
    show(place());
    tell();
    if (focused && document.activeElement === document.body)
      now.querySelector(focused === "input" ? "input" : "button")
        .focus({ preventScroll: true });
  }).observe(document.documentElement, { subtree: true, childList: true });
})();
