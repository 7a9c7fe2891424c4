// From logits to probabilities in the browser: temperature, top-k, top-p. The same
// numbers as `model/sampling.py`, to 1e-9; pure functions, nothing of a page.
// Where a cumulated share lies within 1e-12 of top-p, that candidate may be in one
// of the two and not in the other.
const charrnnSampling = (() => {
  const GREEDY_TEMPERATURE = 1e-60;  // stands for temperature 0

  // Unnormalised probabilities, the largest 1; at temperature 0 all on a tie are 1.
  const unnormalised = (logits, temperature) => {
    const divisor = Math.max(temperature, GREEDY_TEMPERATURE);
    const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    return logits.map((logit) => Math.exp((logit - top) / divisor));
  };

  // Candidates, the likeliest first, the lower one first on a tie.
  const ranking = (weights) =>
    weights.map((_, index) => index).sort((a, b) => weights[b] - weights[a] || a - b);

  // How many of the ranked candidates top-k and then top-p keep.
  const countKept = (weights, ranked, topK, topP) => {
    const most = topK > 0 ? Math.min(topK, ranked.length) : ranked.length;
    if (topP >= 1) return most;
    let total = 0;
    for (let i = 0; i < most; i++) total += weights[ranked[i]];
    let before = 0, count = 0;
    while (count < most && before < topP * total) before += weights[ranked[count++]];
    return count;
  };

  // What a character is drawn from.
  //   logits: in nats, one a candidate
  //   settings: { temperature, topK = 0 (all), topP = 1 (all) }
  // Returns
  //   ranked: candidates, the likeliest first
  //   kept: how many of them can be drawn
  //   before: probabilities at the temperature, nothing left out
  //   after: probabilities of the draw; 0 for what is left out
  const distribution = (logits, { temperature, topK = 0, topP = 1 }) => {
    const weights = unnormalised(logits, temperature);
    const ranked = ranking(weights);
    const kept = countKept(weights, ranked, temperature === 0 ? 1 : topK, topP);
    const sum = (indices) => indices.reduce((all, i) => all + weights[i], 0);
    const all = sum(ranked), drawn = sum(ranked.slice(0, kept));
    const after = weights.map(() => 0);
    for (const i of ranked.slice(0, kept)) after[i] = weights[i] / drawn;
    return { ranked, kept, before: weights.map((weight) => weight / all), after };
  };

  // Which of six steps a character's colour is, from expected to surprising, by its
  // probability at temperature 1.
  const LEAST = [0.5, 0.25, 0.1, 0.03, 0.01];
  const surpriseStep = (bits) => {
    const probability = 2 ** -bits;
    const step = LEAST.findIndex((least) => probability >= least);
    return step < 0 ? LEAST.length : step;
  };

  return { distribution, unnormalised, surpriseStep };
})();
