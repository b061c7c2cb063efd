/** A reporter for `node --test` that yields one line for each test that was skipped or marked as not done yet. */
export default async function* skippedReporter(source) {
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const reason = data.skip ?? data.todo;
    if (reason === undefined || reason === false) continue;
    const why = typeof reason === 'string' ? `: ${reason}` : '';
    yield `${data.file ?? ''} ${data.name}${why}\n`;
  }
}
