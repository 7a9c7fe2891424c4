// The network of a web page: weights, one step for several rows, random numbers. The
// same numbers as `model/network.py`, to 1e-4, and the same draws as
// `model/sampling.py`. Pure: nothing of a page, so that a Worker can run it.
const charrnnEngine = (() => {
  const GATES = { gru: 3, lstm: 4, rnn: 1 };  // blocks of units in a kernel
  const STATES = { gru: 1, lstm: 2, rnn: 1 };  // arrays a layer carries: h, or h, c
  const MAX_ROWS = 16;  // that advance together
  const MAX_TABLE = 64e6;  // bytes of the first layer's products that are kept
  const padded = (count) => 4 * Math.ceil(count / 4);
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));

  // --- weights as a page carries them, see `web/weights.py`

  // Numbers of 16 bits, IEEE 754 binary16, to numbers of 32.
  const fromHalf = (() => {
    const values = new Float32Array(65536);
    for (let bits = 0; bits < 65536; bits++) {
      const exponent = (bits >> 10) & 31, fraction = bits & 1023;
      const size = exponent === 0 ? fraction * 2 ** -24
        : exponent === 31 ? (fraction ? NaN : Infinity)
          : (1 + fraction / 1024) * 2 ** (exponent - 15);
      values[bits] = bits & 32768 ? -size : size;
    }
    return (halves) => Float32Array.from(halves, (bits) => values[bits]);
  })();

  // Reads one tensor after the other from a little-endian file.
  const reader = (bytes, format) => {
    let at = 0;
    const view = (Kind, count) => {
      const part = bytes.slice(at, at + count * Kind.BYTES_PER_ELEMENT);
      at += part.length;
      return new Kind(part.buffer);
    };
    const vector = (count) => format === "float32" ? view(Float32Array, count)
      : fromHalf(view(Uint16Array, count));
    // (rows, columns), row by row; int8 has a scale for each column before it
    const matrix = (rows, columns) => {
      if (format !== "int8") return vector(rows * columns);
      const scales = fromHalf(view(Uint16Array, columns));
      const steps = view(Int8Array, rows * columns);
      return Float32Array.from(steps, (step, i) => step * scales[i % columns]);
    };
    return { vector, matrix };
  };

  // --- matrix products: matrices are kept transposed, a row for each result, in rows
  // of a multiple of four numbers, in one memory that WebAssembly can read

  const plainProduct = (numbers, matrix, inputs, results, rows, width, height) => {
    for (let row = 0; row < rows; row++) {
      const from = inputs + row * width, to = results + row * height;
      for (let n = 0, at = matrix; n < height; n++, at += width) {
        let a = 0, b = 0;
        for (let k = 0; k < width; k += 2) {
          a += numbers[at + k] * numbers[from + k];
          b += numbers[at + k + 1] * numbers[from + k + 1];
        }
        numbers[to + n] = a + b;
      }
    }
  };

  // A memory of so many numbers and the product on it.
  //   kernel: bytes of `kernel.wasm`; null: plain JavaScript
  const memoryOf = (count, kernel) => {
    if (kernel && typeof WebAssembly === "object") {
      try {
        const memory = new WebAssembly.Memory({ initial: Math.ceil(count / 16384) });
        const module = new WebAssembly.Module(kernel);
        const { exports } = new WebAssembly.Instance(module, { page: { memory } });
        const product = (matrix, inputs, results, rows, width, height) => exports.product(
          4 * matrix, 4 * inputs, 4 * results, rows, width, height);
        return { numbers: new Float32Array(memory.buffer), product, compiled: true };
      } catch (error) {
        if (!(error instanceof WebAssembly.CompileError || error instanceof RangeError)) {
          throw error;
        }
      }  // without SIMD, without the memory, or forbidden: plain JavaScript does
    }
    const numbers = new Float32Array(count);
    return {
      numbers, compiled: false,
      product: (...places) => plainProduct(numbers, ...places),
    };
  };

  // The network of a model.
  //   config: { cell, embedding_dim, rnn_units, num_layers, vocab_size, separator };
  //     separator: ids of what separates documents: a row's state is zeroed before it
  //     reads the last of them after the others; empty or left out: it never is
  //   bytes: the weights, a Uint8Array; format: "int8", "float16" or "float32"
  const network = (config, bytes, format, kernel = null) => {
    const { cell, rnn_units: units, num_layers: layers, vocab_size: ids } = config;
    const separator = config.separator ?? [], end = layers * STATES[cell];
    const gates = GATES[cell], states = STATES[cell], wide = gates * units;
    const input = padded(config.embedding_dim), hidden = padded(units);
    const tall = padded(wide), scores = padded(ids);
    const sizes = (layer) => tall * ((layer ? hidden : input) + hidden);
    let count = scores * hidden + MAX_ROWS * (Math.max(input, hidden) + 2 * tall + scores);
    for (let layer = 0; layer < layers; layer++) count += sizes(layer);
    const { numbers, product, compiled } = memoryOf(count + 4, kernel);

    let free = 0;
    const take = (size) => { free += size; return free - size; };
    const read = reader(bytes, format);
    // (inputs, outputs) of the file, transposed and padded
    const place = (inputs, outputs) => {
      const width = padded(inputs), height = padded(outputs);
      const at = take(width * height), values = read.matrix(inputs, outputs);
      for (let k = 0; k < inputs; k++) {
        for (let n = 0; n < outputs; n++) {
          numbers[at + n * width + k] = values[k * outputs + n];
        }
      }
      return { at, width, height };
    };
    const embedding = read.matrix(ids, config.embedding_dim);
    const stack = [];
    for (let layer = 0; layer < layers; layer++) {
      const own = place(layer ? units : config.embedding_dim, wide);
      const recurrent = place(units, wide);
      const bias = read.vector(cell === "gru" ? 2 * wide : wide);
      stack.push({ own, recurrent, bias });
    }
    const head = place(units, ids), headBias = read.vector(ids);
    const inputs = take(MAX_ROWS * Math.max(input, hidden));
    const ours = take(MAX_ROWS * tall), theirs = take(MAX_ROWS * tall);
    const results = take(MAX_ROWS * scores);

    const multiply = ({ at, width, height }, vectors, to) => {
      vectors.forEach((vector, row) => {
        numbers.fill(0, inputs + row * width, inputs + (row + 1) * width);
        numbers.set(vector, inputs + row * width);
      });
      product(at, inputs, to, vectors.length, width, height);
      return vectors.map((_, row) => numbers.subarray(
        to + row * height, to + (row + 1) * height));
    };

    // The first layer's input costs a look-up: products are kept as they are met.
    const table = new Map(), mayKeep = 4 * ids * wide <= MAX_TABLE;
    const looked = (id) => {
      const known = table.get(id);
      if (known) return known;
      const width = config.embedding_dim;
      const row = embedding.subarray(id * width, (id + 1) * width);
      const found = multiply(stack[0].own, [row], ours)[0].slice();
      if (mayKeep) table.set(id, found);
      return found;
    };

    // One step of a layer: x its input's product, u its state's, both without bias.
    const STEP = {
      rnn: (bias, x, u, [h]) => {
        for (let i = 0; i < units; i++) h[i] = Math.tanh(x[i] + u[i] + bias[i]);
      },
      gru: (bias, x, u, [h]) => {  // gates z, r, candidate n
        for (let i = 0; i < units; i++) {
          const j = i + units, k = j + units;
          const z = sigmoid(x[i] + u[i] + bias[i] + bias[wide + i]);
          const r = sigmoid(x[j] + u[j] + bias[j] + bias[wide + j]);
          const n = Math.tanh(x[k] + bias[k] + r * (u[k] + bias[wide + k]));
          h[i] = n + z * (h[i] - n);
        }
      },
      lstm: (bias, x, u, [h, c]) => {  // gates i, f, candidate g, gate o
        for (let i = 0; i < units; i++) {
          const j = i + units, k = j + units, l = k + units;
          c[i] = sigmoid(x[j] + u[j] + bias[j]) * c[i]
            + sigmoid(x[i] + u[i] + bias[i]) * Math.tanh(x[k] + u[k] + bias[k]);
          h[i] = sigmoid(x[l] + u[l] + bias[l]) * Math.tanh(c[i]);
        }
      },
    }[cell];

    // Zero the state of a row in which a document begins, and note what it reads.
    const beginDocument = (id, row) => {
      const recent = row[end];
      if (id === separator.at(-1) && recent.every((one, i) => one === separator[i])) {
        row.slice(0, end).forEach((state) => state.fill(0));
      }
      recent.copyWithin(0, 1);
      if (recent.length) recent[recent.length - 1] = id;
    };

    // Read one character a row; the rows' states are overwritten.
    //   read: ids; rows: states from `blank`
    const advance = (read, rows) => {
      if (separator.length) rows.forEach((row, i) => beginDocument(read[i], row));
      stack.forEach(({ own, recurrent, bias }, layer) => {
        const first = layer * states;
        const x = layer
          ? multiply(own, rows.map((row) => row[first - states]), ours)
          : read.map(looked);
        const u = multiply(recurrent, rows.map((row) => row[first]), theirs);
        rows.forEach((row, i) => STEP(bias, x[i], u[i], row.slice(first, first + states)));
      });
    };

    return {
      compiled,
      // What a text begins with: layer by layer, h or h and c; where there is a
      // separator, the ids that were read last as well.
      blank: () => [
        ...Array.from({ length: end }, () => new Float32Array(units)),
        ...(separator.length ? [new Int32Array(separator.length - 1).fill(-1)] : []),
      ],
      advance,
      // The same, and what may come next: for each row its logits in nats.
      step: (read, rows) => {
        advance(read, rows);
        const last = rows.map((row) => row[(layers - 1) * states]);
        return multiply(head, last, results).map((row) =>
          Array.from(headBias, (bias, i) => Math.fround(row[i] + bias)));
      },
    };
  };

  // --- characters to ids and back; entry 0 stands for every other character

  const vocabulary = (entries, separator = []) => {
    const ids = new Map(entries.map((entry, id) => [entry, id]).slice(1));
    const encode = (text) => Array.from(text, (character) => ids.get(character) ?? 0);
    return {
      entries,
      // The ids a text starts from; an empty prompt starts as a document does, or
      // as a line.
      begin: (prompt) => prompt ? encode(prompt)
        : [separator.at(-1) ?? ids.get("\n") ?? 1],
      unknown: (text) => [...new Set(text)].filter((character) => !ids.has(character)),
    };
  };

  // --- random numbers: Philox 4x64 of 10 rounds (Salmon et al., 2011), keyed by the
  // seed; of each word the upper 52 bits

  const WORD = (1n << 64n) - 1n;
  const philox = (counter, key) => {
    let [a, b, c, d] = [counter & WORD, counter >> 64n, 0n, 0n];
    let [k, l] = [key & WORD, key >> 64n];
    for (let round = 0; round < 10; round++) {
      const p = 0xD2E7470EE14C6C93n * a, q = 0xCA5A826395121157n * c;
      [a, b, c, d] = [(q >> 64n) ^ b ^ k, q & WORD, (p >> 64n) ^ d ^ l, p & WORD];
      k = (k + 0x9E3779B97F4A7C15n) & WORD;
      l = (l + 0xBB67AE8584CAA73Bn) & WORD;
    }
    return [a, b, c, d];
  };
  // A text's random numbers: draw i is for its character i.
  const uniforms = (seed) => {
    let counter = 0n, words = [];
    return () => {
      if (!words.length) words = philox(++counter, BigInt(seed));
      return Number(words.shift() >> 12n) * 2 ** -52;
    };
  };

  // --- from logits to a character

  // The index of a candidate by the inverse of the cumulative distribution.
  const draw = (weights, uniform) => {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const target = total * uniform;
    let sum = 0;
    return weights.findIndex((weight) => (sum += weight) > target);
  };

  // Bits of a candidate: minus log2 of its probability at temperature 1.
  const surprise = (logits, chosen) => {
    const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    const sum = logits.reduce((total, logit) => total + Math.exp(logit - top), 0);
    return (Math.log(sum) - (logits[chosen] - top)) / Math.LN2;
  };

  return { MAX_ROWS, network, vocabulary, uniforms, draw, surprise };
})();
