import assert from 'node:assert/strict';
import { it } from 'node:test';
import { nearest } from '../src/nearest.ts';

const names = ['data', 'host', 'amqp-port', 'json'];

it('finds what was meant', () => {
  assert.equal(nearest('amqp_port', names), 'amqp-port');
  assert.equal(nearest('amqpPort', names), 'amqp-port');
  assert.equal(nearest('amqp', names), undefined);
  assert.equal(nearest('hots', names), 'host');
  assert.equal(nearest('dat', names), 'data');
});

it('does not guess wildly', () => {
  assert.equal(nearest('colour', names), undefined);
  assert.equal(nearest('', names), undefined);
});
