/** The tables of docs/MQTT-CONFORMANCE.md and the tests that name statements agree. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const here = new URL('./', import.meta.url);
const document = readFileSync(new URL('../../../docs/MQTT-CONFORMANCE.md', here), 'utf8');
const versions = ['3.1.1', '5.0'] as const;
type Version = (typeof versions)[number];
/** As appendix B of each specification counts. */
const numbered: Record<Version, number> = { '3.1.1': 141, '5.0': 251 };

/** The third column of each statement's row: tests, or why there is none. */
function tableOf(version: Version): Map<string, string> {
  const section = document.split(/^## /m).find((part) => part.startsWith(`MQTT ${version}\n`)) ?? '';
  const rows = new Map<string, string>();
  for (const [, statement, held] of section.matchAll(/^\| ([\d.]+-\d+) +\| [^|]+ \| (.*?) +\|$/gm)) {
    assert.ok(!rows.has(statement!), `${statement} twice`);
    rows.set(statement!, held!);
  }
  return rows;
}

/** What the tests name: statement -> "`file`: title". */
function namedIn(version: Version): Map<string, Set<string>> {
  const named = new Map<string, Set<string>>();
  const field = version === '5.0' ? 'v5' : 'v3';
  for (const file of readdirSync(here).filter((name) => name.endsWith('.test.ts'))) {
    const source = readFileSync(new URL(file, here), 'utf8');
    for (const [, quoted, template, statements] of source.matchAll(
      /\b(?:conforms|ends)\(\s*(?:'([^']+)'|`([^`]+)`),\s*\{([^}]*)\}/g,
    )) {
      const list = new RegExp(`${field}: '([^']*)'`).exec(statements!)?.[1] ?? '';
      for (const statement of list.split(' ').filter(Boolean)) {
        const tests = named.get(statement) ?? new Set();
        named.set(statement, tests.add(`\`${file.slice(0, -'.test.ts'.length)}\`: ${quoted ?? template}`));
      }
    }
  }
  return named;
}

for (const version of versions) {
  const table = tableOf(version);
  const named = namedIn(version);

  test(`every numbered statement of MQTT ${version} has a row`, () => {
    assert.equal(table.size, numbered[version]);
  });

  test(`what a test names of MQTT ${version} is in the table`, () => {
    for (const [statement, tests] of named) {
      const held = table.get(statement);
      assert.ok(held !== undefined, `${statement} is no statement`);
      for (const each of tests) assert.ok(held.split('; ').includes(each), `${statement} has no ${each}`);
    }
  });

  test(`the table of MQTT ${version} names tests that there are, or why there is none`, () => {
    for (const [statement, held] of table) {
      if (!held.startsWith('`')) {
        assert.ok(held.length > 10 && !named.has(statement), `${statement}: ${held}`);
        continue;
      }
      for (const each of held.split('; ')) assert.ok(named.get(statement)?.has(each), `${statement}: ${each}`);
    }
  });
}
