// SHA-256 (FIPS 180-4) on byte arrays. The browser's own is missing from pages served over plain http.
const ROUND_CONSTANTS = new Uint32Array(64);
const START = new Uint32Array(8);
(function primes() {
  const fraction = (root) => ((root - Math.floor(root)) * 4294967296) | 0;
  for (let n = 2, found = 0; found < 64; n++) {
    let isPrime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) isPrime = false;
    if (!isPrime) continue;
    if (found < 8) START[found] = fraction(Math.sqrt(n));
    ROUND_CONSTANTS[found++] = fraction(Math.cbrt(n));
  }
})();
const schedule = new Int32Array(64);

function compress(state, words) {
  for (let i = 0; i < 16; i++) schedule[i] = words[i];
  for (let i = 16; i < 64; i++) {
    const x = schedule[i - 15], y = schedule[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    schedule[i] = (schedule[i - 16] + s0 + schedule[i - 7] + s1) | 0;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const S1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + S1 + ((e & f) ^ (~e & g)) + ROUND_CONSTANTS[i] + schedule[i]) | 0;
    const S0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (S0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
  }
  state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e; state[5] += f; state[6] += g; state[7] += h;
}

function sha256(bytes) {
  const padded = new Uint8Array(((bytes.length + 72) >> 6) << 6);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer), words = new Uint32Array(16), state = START.slice();
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 536870912));
  view.setUint32(padded.length - 4, bytes.length << 3);
  for (let at = 0; at < padded.length; at += 64) {
    for (let i = 0; i < 16; i++) words[i] = view.getUint32(at + 4 * i);
    compress(state, words);
  }
  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((word, i) => digest.setUint32(4 * i, word));
  return new Uint8Array(digest.buffer);
}

const utf8 = (text) => new TextEncoder().encode(text);
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

// Hashes a salt `rounds` times, in slices, so that the page stays alive; then opens what was sealed with the last hash.
async function unseal(sealed, salt, rounds) {
  let key = sha256(utf8(salt));
  for (let round = 0; round < rounds; round++) {
    key = sha256(key);
    if (round % 10000 === 9999) await new Promise((resume) => setTimeout(resume));
  }
  const bytes = Uint8Array.from(atob(sealed), (letter) => letter.charCodeAt(0));
  const counter = new Uint8Array(36);
  counter.set(key);
  for (let block = 0; 32 * block < bytes.length; block++) {
    new DataView(counter.buffer).setUint32(32, block);
    const stream = sha256(counter);
    for (let i = 0; i < 32 && 32 * block + i < bytes.length; i++) bytes[32 * block + i] ^= stream[i];
  }
  return JSON.parse(new TextDecoder().decode(bytes));
}

function checksum(result) {
  const head = ["format", "version", "experiment", "learner", "place", "condition", "order", "simulation"];
  const lines = head.map((name) => String(result[name]));
  for (const { trial, answer, milliseconds, interrupted, studied } of result.answers) {
    lines.push([trial, answer, milliseconds, interrupted, studied].join(","));
  }
  return hex(sha256(utf8(lines.join("\n")))).slice(0, 16);
}
