import assert from 'node:assert/strict';
import { it } from 'node:test';
import { errorReport } from '../../src/cli/report-error.ts';
import { EngineError } from '../../src/engine/errors.ts';

it('an error is one line without control characters, whatever names are in it', () => {
  const { text, code } = errorReport(new EngineError('CORRUPT', "queue '\u001b]0;x\u0007\n\u202eq' stopped"));
  assert.equal(text, "postrider: queue '\\x1b]0;x\\x07 \\x202eq' stopped");
  assert.equal(code, 3);
});
