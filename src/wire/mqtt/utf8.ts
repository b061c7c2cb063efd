/**
 * Hot path: allocates nothing. Well-formed UTF-8 as RFC 3629 has it, without surrogates [MQTT-1.5.4-1] and without U+0000
 * [MQTT-1.5.4-2]. (`buffer.isUtf8` would want a view of each string, and allows U+0000.)
 */
export function isMqttText(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    const first = bytes[at++]!;
    if (first < 0x80) {
      if (first === 0) return false;
      continue;
    }
    let more: number;
    // The second byte's range keeps out overlong forms, surrogates and what is beyond U+10FFFF.
    let lowest = 0x80;
    let highest = 0xbf;
    if (first < 0xc2) return false;
    if (first < 0xe0) more = 1;
    else if (first < 0xf0) {
      more = 2;
      if (first === 0xe0) lowest = 0xa0;
      else if (first === 0xed) highest = 0x9f;
    } else if (first < 0xf5) {
      more = 3;
      if (first === 0xf0) lowest = 0x90;
      else if (first === 0xf4) highest = 0x8f;
    } else return false;
    if (at + more > end) return false;
    const second = bytes[at++]!;
    if (second < lowest || second > highest) return false;
    for (; more > 1; more--) if ((bytes[at++]! & 0xc0) !== 0x80) return false;
  }
  return true;
}
