import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { bodyHash } from '../../src/verify/body-hash.ts';
import { FileRecorder } from '../../src/verify/file-recorder.ts';
import { historyFiles, mergeByTime, readHistory } from '../../src/verify/history-file.ts';
import type { HistoryEvent } from '../../src/verify/history.ts';
import { MemoryRecorder, monotonicNs } from '../../src/verify/recorder.ts';

const directory = mkdtempSync(join(tmpdir(), 'postrider-history-'));
after(() => rmSync(directory, { recursive: true }));

let files = 0;
function newFile(): string {
  return join(directory, `${++files}.history.jsonl`);
}

function lines(file: string): number {
  return readFileSync(file, 'utf8').split('\n').length - 1;
}

describe('a file recorder', () => {
  it('has handed each event to the kernel when its method returns', () => {
    const recorder = new FileRecorder(newFile(), 'orders');
    assert.equal(lines(recorder.file), 1, 'the origin line');
    recorder.publish('orders/1/1', 1, bodyHash('hello'), ['payment']);
    assert.equal(lines(recorder.file), 2);
    recorder.confirmed('orders/1/1', 1);
    assert.equal(lines(recorder.file), 3);
    recorder.close();
    assert.deepEqual(
      [...readHistory(recorder.file)].map(({ type }) => type),
      ['publish', 'publish-ok'],
    );
  });

  it('gathers a batch until flush where it is buffered, and never without bound', () => {
    const recorder = new FileRecorder(newFile(), 'orders', { buffered: true });
    for (let sequence = 1; sequence <= 10; sequence++) recorder.publish(`orders/1/${sequence}`, 1, 'x', ['payment']);
    assert.equal(lines(recorder.file), 1);
    recorder.flush();
    assert.equal(lines(recorder.file), 11);
    for (let sequence = 11; sequence <= 2000; sequence++) recorder.publish(`orders/1/${sequence}`, 1, 'x', ['payment']);
    assert.ok(lines(recorder.file) > 11);
    recorder.close();
    assert.equal([...readHistory(recorder.file)].length, 2000);
  });

  it('never continues a file, and says so', () => {
    const recorder = new FileRecorder(newFile(), 'orders');
    recorder.close();
    assert.throws(() => new FileRecorder(recorder.file, 'orders'), { code: 'FILE_EXISTS', message: /another name/ });
  });

  it('refuses to record after close', () => {
    const recorder = new FileRecorder(newFile(), 'orders');
    recorder.close();
    recorder.close();
    assert.throws(() => recorder.confirmed('orders/1/1', 1), { code: 'RECORDER_CLOSED' });
  });

  it('loses nothing that was recorded before a send when its process is killed', async () => {
    const file = newFile();
    const module = new URL('../../src/verify/file-recorder.ts', import.meta.url).href;
    const script = `
      import { FileRecorder } from ${JSON.stringify(module)};
      const recorder = new FileRecorder(${JSON.stringify(file)}, 'orders', { buffered: true });
      for (let sequence = 1; ; sequence++) {
        recorder.publish('orders/1/' + sequence, 1, 'x', ['payment']);
        recorder.flush();
        if (!process.stdout.write(sequence + '\\n')) await new Promise((go) => process.stdout.once('drain', go));
      }`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let sent = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      sent += text;
      if (sent.length > 2000) child.kill('SIGKILL');
    });
    const [, signal] = (await once(child, 'close')) as [number | null, string | null];
    assert.equal(signal, 'SIGKILL');
    const recorded = new Set([...readHistory(file)].map((event) => ('id' in event ? event.id : '')));
    const heard = sent.slice(0, sent.lastIndexOf('\n')).split('\n');
    assert.ok(heard.length > 100);
    for (const sequence of heard) assert.ok(recorded.has(`orders/1/${sequence}`), `sequence ${sequence}`);
  });
});

describe('a history file', () => {
  it('is read without its torn last line', () => {
    const recorder = new FileRecorder(newFile(), 'orders');
    recorder.confirmed('orders/1/1', 1);
    recorder.close();
    appendFileSync(recorder.file, '{"t":1,"k":"p+","i":"orders/1/2","a":1}');
    assert.equal([...readHistory(recorder.file)].length, 1);
  });

  it('names file and line of damage', () => {
    const recorder = new FileRecorder(newFile(), 'orders');
    recorder.close();
    appendFileSync(recorder.file, '{"t":1,"k"\n');
    assert.throws(() => [...readHistory(recorder.file)], {
      code: 'DAMAGED_LINE',
      message: `${recorder.file}:2: not a JSON object`,
    });
  });

  it('is told from a file of something else', () => {
    const file = newFile();
    writeFileSync(file, '{"t":1,"k":"p+","i":"orders/1/2","a":1}\n');
    assert.throws(() => [...readHistory(file)], { code: 'FOREIGN_FILE' });
  });

  it('is read whole across the chunks of the reader, and again', () => {
    const recorder = new FileRecorder(newFile(), 'orders', { buffered: true });
    const idOf = (sequence: number): string => `bestellungen-f${'ü'.repeat(sequence % 50)}r/1/${sequence}`;
    for (let sequence = 1; sequence <= 20_000; sequence++) recorder.publish(idOf(sequence), 1, 'x', ['zahlung']);
    recorder.close();
    const history = readHistory(recorder.file);
    for (let time = 1; time <= 2; time++) {
      let sequence = 0;
      for (const event of history) assert.equal('id' in event && event.id, idOf(++sequence));
      assert.equal(sequence, 20_000);
    }
  });

  it('is found in its directory and merged with the others by time', () => {
    const place = join(directory, 'merged');
    const orders = FileRecorder.in(place, 'orders');
    const payment = FileRecorder.in(place, 'payment');
    for (let sequence = 1; sequence <= 5; sequence++) {
      orders.publish(`orders/1/${sequence}`, 1, 'x', ['payment']);
      payment.delivered('payment', 'payment#1', `orders/1/${sequence}`, 'x', false);
    }
    orders.close();
    payment.close();
    writeFileSync(join(place, 'notes.txt'), 'nothing of a history');
    const found = historyFiles(place);
    assert.equal(found.length, 2);
    const types = [...readHistory(found)].map(({ type }) => type);
    assert.deepEqual(types, Array.from({ length: 5 }, () => ['publish', 'deliver']).flat());
  });
});

describe('merging by time', () => {
  it('keeps the order of each history, also between equal times', () => {
    const of = (name: string, times: number[]): HistoryEvent[] =>
      times.map((at, index) => ({ type: 'publish-ok', at, id: `${name}/1/${index}`, attempt: 1 }));
    const merged = [...mergeByTime([of('a', [1, 1, 4, 9]), of('b', []), of('c', [0, 1, 1, 5])])];
    assert.deepEqual(
      merged.map((event) => ('id' in event ? `${event.at} ${event.id ?? ''}` : '')),
      ['0 c/1/0', '1 a/1/0', '1 a/1/1', '1 c/1/1', '1 c/1/2', '4 a/1/2', '5 c/1/3', '9 a/1/3'],
    );
  });
});

describe('clocks', () => {
  it('of a recorder in memory count events, unless it is given one', () => {
    const counting = new MemoryRecorder();
    counting.confirmed('p/1/1', 1);
    counting.confirmed('p/1/2', 1);
    assert.deepEqual(
      counting.events.map((event) => event.at),
      [0, 1],
    );
    const given = new MemoryRecorder(() => 77);
    given.confirmed('p/1/1', 1);
    assert.equal(given.events[0]?.at, 77);
  });

  it('of processes never run backwards', () => {
    const before = monotonicNs();
    assert.ok(monotonicNs() >= before);
  });
});
