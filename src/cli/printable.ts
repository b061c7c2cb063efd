/** Text from elsewhere, made harmless for a terminal: control characters would move its cursor, or worse. */

/** Line breaks and tabs stay. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, escaped);
}

/** On one line, and read in the order in which it stands. */
export function printableLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, escaped);
}

function escaped(character: string): string {
  const short = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[character];
  return short ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}
