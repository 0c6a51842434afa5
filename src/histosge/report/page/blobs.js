// The data of the page: metadata as JSON, arrays as deflated base64, which are unpacked at their first use.

const about = JSON.parse(document.getElementById("about").textContent);
const unpacked = new Map();
const KEPT = 24;

async function unpack(name) {
  const text = document.getElementById("blob-" + name).textContent;
  const binary = atob(text);
  const packed = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) packed[i] = binary.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

// Small arrays stay in memory; of the chunks only the most recently used.
function buffer(name, { chunk = false } = {}) {
  if (unpacked.has(name)) {
    const content = unpacked.get(name);
    if (chunk) { unpacked.delete(name); unpacked.set(name, content); }
    return content;
  }
  const promise = unpack(name);
  unpacked.set(name, promise);
  if (chunk) {
    const chunks = [...unpacked.keys()].filter((key) => key.includes("."));
    for (const key of chunks.slice(0, Math.max(0, chunks.length - KEPT))) unpacked.delete(key);
  }
  return promise;
}

const floats = async (name) => new Float32Array(await buffer(name));
const integers = async (name) => new Int32Array(await buffer(name));
const codes = async (name, bits, options) => {
  const bytes = await buffer(name, options);
  return bits === 8 ? new Uint8Array(bytes) : new Uint16Array(bytes);
};
const lines = async (name) => new TextDecoder().decode(await buffer(name)).split("\n");

// Integers of seven bits a byte, low bits first.
function varints(bytes, start, count) {
  const values = new Uint32Array(count);
  let at = start;
  for (let i = 0; i < count; i++) {
    let value = 0, shift = 0, byte;
    do { byte = bytes[at++]; value |= (byte & 127) << shift; shift += 7; } while (byte & 128);
    values[i] = value;
  }
  return { values, next: at };
}
