import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { commandLine } from '../../src/cli/command-line.ts';
import { version } from '../../src/version.ts';
import { run, scratch } from './postrider.ts';

interface Told {
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line in this process: quick, for whatever ends before a command works. */
async function told(args: readonly string[]): Promise<Told> {
  let stdout = '';
  let stderr = '';
  const code = await commandLine(args, {
    out: (text) => {
      stdout += text;
    },
    err: (text) => {
      stderr += text;
    },
  });
  return { code, stdout, stderr };
}

/** One line on standard error, nothing on standard output, no stack. */
function assertComplaint({ code, stdout, stderr }: Told, exitCode: number, line: RegExp): void {
  assert.match(stderr, line);
  assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
  assert.match(stderr, /^postrider: /);
  assert.equal(stdout, '');
  assert.equal(code, exitCode);
}

describe('wrong usage is one line and exit code 2', () => {
  const cases: readonly (readonly [args: string, line: RegExp])[] = [
    ['serv', /unknown command 'serv'; did you mean serve\?/],
    ['frobnicate', /unknown command 'frobnicate'; see postrider --help/],
    ['serve --amqp-prot 1', /unknown option '--amqp-prot'; did you mean --amqp-port\?/],
    ['serve --amqp-port', /option --amqp-port needs a value: <PORT>; see postrider serve --help/],
    ['serve --amqp-port 70000', /--amqp-port must be a port between 0 \(any free one\) and 65535, or off, not "70000"/],
    ['serve --amqp-port 12x', /--amqp-port must be a port .* not "12x"/],
    ['serve --host example.org', /--host must be an IP address or localhost, not "example\.org"/],
    [
      'serve --amqp-port off --mqtt-port off --ws-port off',
      /nothing is left to serve: --amqp-port off, --mqtt-port off, --ws-port off, and no --tls-cert and --tls-key/,
    ],
    ['serve --amqp-port 7777 --ws-port 7777', /--amqp-port and --ws-port are both 7777/],
    ['serve --mqtt-port on', /--mqtt-port must be a port .* not "on"/],
    ['serve --tls-cert a', /TLS needs both --tls-cert and --tls-key/],
    ['serve --tls-cert /nowhere/a --tls-key b', /the certificate can't be used: \/nowhere\/a is not there/],
    ['serve ./data', /serve takes no argument besides its options, and got 1; see postrider serve --help/],
    [
      'serve --data amqp://x',
      /--data must be a directory, not "amqp:\/\/x": that is the URL of a broker that runs; write \.\/data/,
    ],
    ['inspect amqps://x', /DIR must be a directory, not "amqps:\/\/x"/],
    ['inspect memory:', /DIR: memory: leaves nothing on disk to read/],
    ['inspect a b', /inspect takes one argument besides its options, and got 2; see postrider inspect --help/],
    [
      'serve --config /nowhere/postrider.yaml',
      /cannot read the configuration file \/nowhere\/postrider\.yaml: no such file/,
    ],
    ['inspect', /missing required argument 'DIR'; see postrider inspect --help/],
    ['demo --orders none', /--orders must be a whole number from 1, not "none"/],
    ['publsh', /unknown command 'publsh'; did you mean publish\?/],
    ['publish', /publish wants to know where to: a QUEUE, or --topic TOPIC; see postrider publish --help/],
    ['publish --topic t a b', /--topic takes the place of the queue/],
    ['publish --topic t --create x', /--create makes a queue, and --topic names none/],
    ['publish q --json {x', /PAYLOAD is no JSON: /],
    ['publish q x --delay 5', /--delay must be a time with its unit, such as .*, not "5"/],
    ['consume', /missing required argument 'QUEUE'; see postrider consume --help/],
    [
      'consume q --url http://x',
      /'http:\/\/x' has the unknown scheme 'http:'; there are file:, memory:, amqp:, amqps:/,
    ],
    ['consume q --url ampq://x', /has the unknown scheme 'ampq:'; did you mean 'amqp:'\?/],
    ['peek q --count 0', /--count must be a whole number from 1 to 10,000, not "0"/],
    ['demo --url http://x', /--url must be an address such as amqp:\/\/localhost:5672, not "http:\/\/x"/],
  ];
  for (const [args, line] of cases) {
    it(`postrider ${args}`, async () => {
      assertComplaint(await told(args.split(' ')), 2, line);
    });
  }

  it('postrider alone shows how to use it', async () => {
    const { code, stderr } = await told([]);
    assert.equal(code, 2);
    assert.match(stderr, /Usage: postrider/);
  });
});

describe('a configuration file', () => {
  it('is refused with file, line and key, and nothing is touched', async () => {
    const directory = await scratch();
    const file = join(directory, 'postrider.yaml');
    await writeFile(file, `data: ${join(directory, 'data')}\namqp_port: 0\n`);
    const finished = await told(['serve', '--config', file]);
    assertComplaint(finished, 2, /postrider\.yaml:2: unknown key "amqp_port"; did you mean "amqp-port"\?/);
    assert.equal(existsSync(join(directory, 'data')), false);
  });
});

describe('help', () => {
  it('names the commands and shows examples', async () => {
    const { code, stdout, stderr } = await told(['--help']);
    assert.equal(code, 0);
    assert.equal(stderr, '');
    for (const word of ['serve', 'publish', 'inspect', 'demo', 'bench', 'Examples:', 'Exit codes:'])
      assert.match(stdout, new RegExp(word));
  });

  for (const command of ['serve', 'publish', 'consume', 'redrive', 'inspect', 'demo']) {
    it(`of ${command} has examples, whichever way it is asked for`, async () => {
      const [flag, word] = await Promise.all([told([command, '--help']), told(['help', command])]);
      assert.equal(flag.code, 0);
      assert.match(flag.stdout, new RegExp(`Usage: postrider ${command}`));
      assert.match(flag.stdout, /Examples:/);
      assert.equal(word.stdout, flag.stdout);
    });
  }

  it('is not coloured when it goes into a pipe', async () => {
    const { stdout } = await run(['--help']);
    assert.equal(stdout.includes('\u001b'), false);
  });

  it('--version prints the version', async () => {
    const { code, stdout } = await run(['--version']);
    assert.equal(code, 0);
    assert.equal(stdout, `${version}\n`);
  });
});

describe('the process', () => {
  it('ends with the code and the line', async () => {
    const { code, stdout, stderr } = await run(['serve', '--prot']);
    assertComplaint({ code: code ?? undefined, stdout, stderr }, 2, /unknown option '--prot'/);
  });
});

describe('POSTRIDER_DEBUG', () => {
  it('adds the stack', async () => {
    const { stderr } = await run(['serve', '--host', 'example.org'], { POSTRIDER_DEBUG: '1' });
    assert.match(stderr, /\n\s+at /);
  });
});
