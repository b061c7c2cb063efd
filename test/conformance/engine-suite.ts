/**
 * The engine contract as a program: the same cases for every engine. An engine brings a way to open an empty store and the
 * list of what it refuses; a case whose feature is refused asserts the refusal instead of being skipped.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EngineError } from '../../src/engine/errors.ts';
import { appendCases } from './cases/append.ts';
import { atomicCases } from './cases/atomic.ts';
import { consumeCases } from './cases/consume.ts';
import { delayedCases } from './cases/delayed.ts';
import { durabilityCases } from './cases/durability.ts';
import { groupCases } from './cases/groups.ts';
import { identityCases } from './cases/identity.ts';
import { inspectCases } from './cases/inspect.ts';
import { limitCases } from './cases/limits.ts';
import { priorityCases } from './cases/priorities.ts';
import { removalCases } from './cases/removals.ts';
import { scaleCases } from './cases/scale.ts';
import { settleCases } from './cases/settle.ts';
import { sizeCases } from './cases/sizes.ts';
import { stateCases } from './cases/state.ts';
import { streamCases } from './cases/streams.ts';
import { topologyCases } from './cases/topology.ts';
import { Fixture, type Opened } from './fixture.ts';

/** What an engine may refuse. */
export type Refusal =
  | 'atomic-required'
  | 'durable'
  | 'priorities'
  | 'delayed'
  | 'producers'
  | 'messageIds'
  | 'groups'
  | 'streams'
  | 'readyLimits'
  | 'consumerPriorities'
  | 'requeueInPlace';

export interface ConformanceOptions {
  /** Opens an empty store. */
  open(): Promise<Opened>;
  readonly expectedRefusals: readonly Refusal[];
  /** Groups left out for this store: another run of the same engine has them. */
  readonly except?: readonly Group[];
}

export interface Case {
  /** What the engine must be able to do. */
  readonly needs?: Refusal;
  /** Outlives `close`, or death. Cases without them in their store are left out: nothing is there to ask for. */
  readonly across?: 'reopen' | 'crash';
  /** Where the engine refuses `needs`: what must be refused, with UNSUPPORTED. */
  readonly refusal?: (fixture: Fixture) => Promise<unknown>;
}

/** Adds one case; each gets an engine of its own. */
export type Check = (title: string, body: (fixture: Fixture) => Promise<void>, options?: Case) => void;

const groups = {
  topology: topologyCases,
  'append and commit': appendCases,
  limits: limitCases,
  sizes: sizeCases,
  'atomic batches': atomicCases,
  'settle and release': settleCases,
  'consume, take and load': consumeCases,
  priorities: priorityCases,
  'message groups': groupCases,
  'stats, purge and browse': inspectCases,
  removals: removalCases,
  'keyed state': stateCases,
  'producers and message ids': identityCases,
  'delayed messages': delayedCases,
  streams: streamCases,
  'reopen and crash': durabilityCases,
  'large counts': scaleCases,
} satisfies Record<string, (check: Check) => void>;

export type Group = keyof typeof groups;

export interface RunnableCase {
  readonly group: Group | 'capabilities';
  readonly title: string;
  run(): Promise<void>;
}

/** All cases for this engine, a refused feature's being the refusal. */
export function conformanceCases(options: ConformanceOptions): RunnableCase[] {
  const refusals = new Set(options.expectedRefusals);
  const cases: RunnableCase[] = [];

  const withFixture = async (body: (fixture: Fixture) => Promise<unknown>): Promise<void> => {
    const fixture = await Fixture.open(await options.open());
    try {
      await body(fixture);
    } finally {
      await fixture.dispose();
    }
  };

  const into =
    (group: RunnableCase['group']): Check =>
    (title, body, { needs, across, refusal } = {}) => {
      if (across !== undefined && refusals.has('durable')) return;
      if (needs === undefined || !refusals.has(needs)) {
        cases.push({ group, title, run: () => withFixture(body) });
      } else if (refusal !== undefined) {
        const refuse = (fixture: Fixture): Promise<void> => assert.rejects(async () => refusal(fixture), isUnsupported);
        cases.push({ group, title: `refuses: ${title}`, run: () => withFixture(refuse) });
      }
    };

  into('capabilities')('say what the engine refuses, no more and no less', (fixture) => {
    const { capabilities } = fixture.engine;
    assert.equal(capabilities.atomic, refusals.has('atomic-required') ? 'idempotent' : 'required');
    for (const capability of [
      'durable',
      'priorities',
      'delayed',
      'producers',
      'messageIds',
      'groups',
      'streams',
      'requeueInPlace',
      'readyLimits',
      'consumerPriorities',
    ] as const) {
      assert.equal(capabilities[capability], !refusals.has(capability), capability);
    }
    return Promise.resolve();
  });
  for (const [group, add] of Object.entries(groups)) {
    if (options.except?.includes(group as Group) !== true) add(into(group as Group));
  }
  return cases;
}

const caseTimeoutMs = 300_000;

export function runEngineConformance(name: string, options: ConformanceOptions): void {
  const cases = conformanceCases(options);
  describe(`engine ${name}`, () => {
    for (const group of new Set(cases.map((one) => one.group))) {
      describe(group, () => {
        for (const one of cases.filter((other) => other.group === group)) {
          it(one.title, { timeout: caseTimeoutMs }, () => one.run());
        }
      });
    }
  });
}

function isUnsupported(error: unknown): true {
  assert.ok(error instanceof EngineError, `expected an EngineError, got ${String(error)}`);
  assert.equal(error.code, 'UNSUPPORTED');
  return true;
}
