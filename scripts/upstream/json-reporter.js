/** A reporter for `node --test` that yields each test with the suites it stands in, as JSON, a line each. */
export default async function* jsonReporter(source) {
  const path = [];
  for await (const { type, data } of source) {
    if (type === 'test:start') {
      path.length = data.nesting;
      path.push(data.name);
      continue;
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const ofFile = data.nesting === 0 && data.name.endsWith('.test.js');
    // A suite or a file fails with its tests, or by itself, which no test of its own tells.
    const byChildren = data.details?.error?.failureType === 'subtestsFailed';
    if ((data.details?.type === 'suite' || ofFile) && (type === 'test:pass' || byChildren)) continue;
    const file = (data.file ?? data.name).split('/').at(-1);
    const names = ofFile ? [] : [...path.slice(0, data.nesting), data.name];
    const outcome =
      type === 'test:fail' ? 'fail' : data.skip === undefined && data.todo === undefined ? 'pass' : 'skip';
    yield `${JSON.stringify({ test: [file, ...names].join(' > '), outcome })}\n`;
  }
}
