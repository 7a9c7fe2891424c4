// The Worker of a web page: reads prompts and writes texts, a slice at a time, so that
// it hears between two slices what the page wants next.
(() => {
  const SLICE = 30;  // ms
  const latest = { next: 0, write: 0 };  // numbers of the tasks that are wanted
  let network, vocabulary;
  let kept = { ids: [], states: null };  // after all but the last id of a prompt
  const copied = (states) => states.map((state) => state.slice());
  const pause = () => new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => { port1.close(); done(); };
    port2.postMessage(0);
  });
  const bytes = (text) => {
    const binary = atob(text), found = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) found[i] = binary.charCodeAt(i);
    return found;
  };

  // The states before the last id of a prompt; null where it is not wanted any more.
  // Of a prompt that has grown only what was added is read.
  const read = async (ids, isWanted) => {
    const known = kept.states && kept.ids.length <= ids.length
      && kept.ids.every((id, i) => ids[i] === id);
    const states = known ? copied(kept.states) : network.blank();
    let heard = performance.now();
    for (let i = known ? kept.ids.length - 1 : 0; i < ids.length - 1; i++) {
      network.advance([ids[i]], [states]);
      if (performance.now() - heard > SLICE) {
        await pause();
        if (!isWanted()) return null;
        heard = performance.now();
      }
    }
    kept = { ids, states: copied(states) };
    return states;
  };

  const next = async ({ id, prompt }) => {
    const ids = vocabulary.begin(prompt);
    const states = await read(ids, () => id === latest.next);
    if (!states) return;
    const [logits] = network.step(ids.slice(-1), [states]);
    postMessage({ kind: "next", id, logits: logits.slice(1) });  // without [UNK]
  };

  // Write a character in every row: its id and its bits.
  const writeOne = (rows) => {
    const found = network.step(rows.map((row) => row.last), rows.map((row) => row.states));
    return rows.map((row, i) => {
      const logits = found[i].slice(1);
      const weights = charrnnSampling.unnormalised(logits, row.temperature);
      const chosen = charrnnEngine.draw(weights, row.temperature ? row.uniform() : 0);
      row.last = chosen + 1;
      return [row.last, charrnnEngine.surprise(logits, chosen)];
    });
  };

  const write = async ({ id, prompt, length, rows }) => {
    const isWanted = () => id === latest.write;
    const ids = vocabulary.begin(prompt), states = await read(ids, isWanted);
    if (!states) return;
    const begun = performance.now();
    const texts = rows.map(({ temperature, seed }) => ({
      temperature, uniform: charrnnEngine.uniforms(seed), last: ids.at(-1),
      states: copied(states),
    }));
    let heard = begun, fresh = rows.map(() => []);
    for (let count = 1; count <= length; count++) {
      writeOne(texts).forEach((one, row) => fresh[row].push(one));
      if (count < length && performance.now() - heard < SLICE) continue;
      const seconds = (performance.now() - begun) / 1000;
      postMessage({ kind: "text", id, rows: fresh, done: count === length, seconds });
      fresh = rows.map(() => []);
      await pause();
      if (!isWanted()) return;
      heard = performance.now();
    }
  };

  const load = ({ model, weights }) => {
    vocabulary = charrnnEngine.vocabulary(model.vocabulary, model.config.separator);
    const kernel = model.kernel ? bytes(model.kernel) : null;
    network = charrnnEngine.network(model.config, bytes(weights), model.format, kernel);
    postMessage({ kind: "ready", compiled: network.compiled });
  };

  const tasks = { load, next, write, stop: () => {} };
  onmessage = async ({ data }) => {
    if (!network && data.kind !== "load") return;  // it could not be loaded
    if (data.kind === "stop") latest.write = 0;
    else if (data.kind !== "load") latest[data.kind] = data.id;
    try {
      await tasks[data.kind](data);
    } catch (error) {
      postMessage({ kind: "failed", message: String(error) });
    }
  };
})();
