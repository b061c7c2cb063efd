import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { paintFor, Terminal } from '../../src/cli/terminal.ts';
import { Sheet } from './sheet.ts';

describe('a terminal', () => {
  it('has colour and a live line below what stays', () => {
    const sheet = new Sheet(true);
    const terminal = new Terminal(sheet);
    terminal.live('10 %');
    terminal.say('a line');
    assert.equal(sheet.text, '\r\u001b[K10 %\r\u001b[Ka line\n\r\u001b[K10 %');
    assert.equal(paintFor(sheet).red('no'), '\u001b[31mno\u001b[39m');
  });

  it('cuts the live line to its width', () => {
    const sheet = new Sheet(true);
    new Terminal(sheet).live('x'.repeat(100));
    assert.equal(sheet.text, `\r\u001b[K${'x'.repeat(39)}`);
  });

  it('draws a bar', () => {
    const terminal = new Terminal(new Sheet(true));
    assert.equal(terminal.bar(1, 2, 10), '█████░░░░░');
    assert.equal(terminal.bar(3, 2, 4), '████');
    assert.equal(terminal.bar(0, 0, 4), '░░░░');
  });
});

describe('a pipe', () => {
  it('gets plain lines and no live line', () => {
    const sheet = new Sheet(false);
    const terminal = new Terminal(sheet);
    terminal.live('10 %');
    terminal.say(terminal.paint.red('a line'));
    assert.equal(sheet.text, 'a line\n');
  });
});
