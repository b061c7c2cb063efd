import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConfigError } from '../../src/config/config-error.ts';
import { parseConfig } from '../../src/config/config-file.ts';
import { settingsFrom } from '../../src/config/serve-settings.ts';

describe('the configuration file', () => {
  it('takes the long names of the command line', () => {
    const settings = parseConfig('data: /var/lib/postrider\nhost: ::1\namqp-port: 5673\njson: true\n', 'a.yaml');
    assert.deepEqual(settings, { data: '/var/lib/postrider', host: '::1', amqpPort: 5673, json: true });
  });

  it('may serve TLS alone, on every address', () => {
    const settings = parseConfig(
      'host: "::"\namqp-port: off\nws-port: off\nmqtt-port: 0\ntls-cert: c.pem\ntls-key: k.pem\n',
      'a.yaml',
    );
    assert.deepEqual(settings, {
      host: '::',
      amqpPort: 'off',
      wsPort: 'off',
      mqttPort: 0,
      tlsCert: 'c.pem',
      tlsKey: 'k.pem',
    });
  });

  it('may be empty', () => {
    for (const text of ['', '\n', '# nothing\n', '---\n', 'null\n']) assert.deepEqual(parseConfig(text, 'a.yaml'), {});
  });

  const refused: readonly (readonly [what: string, text: string, line: RegExp])[] = [
    ['an unknown key', 'data: x\n\namqpport: 1\n', /^a\.yaml:3: unknown key "amqpport"; did you mean "amqp-port"\?$/],
    [
      'a key like none',
      'colour: red\n',
      /^a\.yaml:1: unknown key "colour"; known are data, host, amqp-port, amqps-port, mqtt-port, mqtts-port, ws-port, wss-port, tls-cert, /,
    ],
    ['a port that is none', 'amqp-port: 99999\n', /^a\.yaml:1: amqp-port must be a port .*not 99999$/],
    ['a port in words', 'amqp-port: many\n', /^a\.yaml:1: amqp-port must be a port .*not "many"$/],
    ['a list for a value', 'data:\n  - a\n', /^a\.yaml:1: data must be a directory.*not a list$/],
    ['a number for a directory', 'data: 7\n', /^a\.yaml:1: data must be a directory/],
    ['a name for an address', '\nhost: example.org\n', /^a\.yaml:2: host must be an IP address or localhost, not/],
    ['no file', 'tls-cert: true\n', /^a\.yaml:1: tls-cert must be a file, not true$/],
    ['a timeout below none', 'consumer-timeout: -1\n', /^a\.yaml:1: consumer-timeout must be a number of seconds/],
    ['a timeout that is too long', 'consumer-timeout: 604801\n', /between 0 and 604800, not 604801$/],
    ['room for no queue', 'max-queues: 0\n', /^a\.yaml:1: max-queues must be a number of queues between 1 and /],
    ['a part of a binding', 'max-bindings: 1.5\n', /^a\.yaml:1: max-bindings must be a number of bindings .*not 1\.5$/],
    ['a switch in words', 'json: "yes"\n', /^a\.yaml:1: json must be true or false, not "yes"$/],
    ['a key twice', 'data: a\ndata: b\n', /^a\.yaml:2: not valid YAML: .*unique/],
    ['broken YAML', 'data: [a\n', /^a\.yaml:\d: not valid YAML/],
    ['a list', '- data\n', /^a\.yaml:1: must be a list of "key: value" lines/],
    ['words', 'hello\n', /^a\.yaml:1: must be/],
  ];
  for (const [what, text, line] of refused) {
    it(`refuses ${what}, naming the line`, () => {
      assert.throws(
        () => parseConfig(text, 'a.yaml'),
        (error) => {
          assert.ok(error instanceof ConfigError);
          assert.match(error.message, line);
          return true;
        },
      );
    });
  }

  it('gives way to the command line, and the defaults to it', () => {
    assert.deepEqual(settingsFrom({ data: 'file', amqpPort: 1 }, { amqpPort: 2 }), {
      data: 'file',
      host: '127.0.0.1',
      amqpPort: 2,
      amqpsPort: 5671,
      mqttPort: 1883,
      mqttsPort: 8883,
      wsPort: 8083,
      wssPort: 8084,
      mqttExchange: 'amq.topic',
      mqttMaxKeepAlive: 65_535,
      tlsCert: '',
      tlsKey: '',
      tlsClientCa: '',
      json: false,
      consumerTimeout: 1800,
      maxQueues: 200_000,
      maxExchanges: 100_000,
      maxBindings: 1_000_000,
      maxArgumentBytes: 268_435_456,
    });
  });
});
