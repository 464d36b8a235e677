// The checksum of RFC 3720 (CRC-32C), eight bytes at a time. `heap.HEAPU8` is looked up at each call, as it is another one when memory grows.
(heap) => {
  const tables = Array.from({ length: 8 }, () => new Int32Array(256));
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    tables[0][n] = c;
  }
  for (let n = 0; n < 256; n++)
    for (let t = 1; t < 8; t++) tables[t][n] = (tables[t - 1][n] >>> 8) ^ tables[0][tables[t - 1][n] & 255];
  const [t0, t1, t2, t3, t4, t5, t6, t7] = tables;
  return (start, size) => {
    const b = heap.HEAPU8, stop = start + size, eights = stop - (size % 8);
    let c = -1, i = start;
    for (; i < eights; i += 8) {
      c ^= b[i] | (b[i + 1] << 8) | (b[i + 2] << 16) | (b[i + 3] << 24);
      c = t7[c & 255] ^ t6[(c >>> 8) & 255] ^ t5[(c >>> 16) & 255] ^ t4[c >>> 24]
        ^ t3[b[i + 4]] ^ t2[b[i + 5]] ^ t1[b[i + 6]] ^ t0[b[i + 7]];
    }
    for (; i < stop; i++) c = (c >>> 8) ^ t0[(c ^ b[i]) & 255];
    return (c ^ -1) >>> 0;
  };
}
