import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Logins } from '../../../src/broker/access/logins.ts';
import { guestHash, hashPassword, isPassword, unknownHash } from '../../../src/broker/access/password-hash.ts';
import { User } from '../../../src/broker/access/user.ts';

const there = {};
const logins = (): Logins => new Logins(() => undefined);

describe('password hashes', () => {
  it('are salted, and known again', async () => {
    const [one, two] = await Promise.all([hashPassword('secret'), hashPassword('secret')]);
    assert.notEqual(one, two);
    assert.match(one, /^\$scrypt\$ln=14,r=8,p=1\$[\w-]{22}\$[\w-]{43}$/);
    assert.ok(!one.includes('secret'));
    assert.equal(await isPassword('secret', one), true);
    assert.equal(await isPassword('Secret', one), false);
    assert.equal(await isPassword('guest', guestHash), true);
    assert.equal(await isPassword('guest', unknownHash()), false);
    assert.equal(await isPassword('guest', 'damaged'), false);
  });
});

describe('Logins', () => {
  it('derive once for many clients with one password, and not at all for those after', async () => {
    const user = new User('ann', await hashPassword('secret'), []);
    const checks = logins();
    const storm = Array.from({ length: 100 }, () => Promise.resolve(checks.isRight('ann', user, 'secret', there)));
    assert.deepEqual(new Set(await Promise.all(storm)), new Set([true]));
    assert.equal(checks.isRight('ann', user, 'secret', there), true);
    assert.equal(await checks.isRight('ann', user, 'wrong', there), false);
    assert.equal(checks.isRight('ann', user, 'wrong', there), false, 'what was wrong is remembered');
  });

  it("know at once the password that is no secret, for as long as it is the user's", async () => {
    const guest = new User('guest', guestHash, []);
    const checks = logins();
    assert.equal(checks.isRight('guest', guest, 'guest', there), true);
    assert.equal(await checks.isRight('guest', guest, 'Guest', there), false);
    guest.hash = await hashPassword('secret');
    assert.equal(await checks.isRight('guest', guest, 'guest', there), false);
  });

  it('ask anew once the password is another', async () => {
    const user = new User('ann', await hashPassword('old'), []);
    const checks = logins();
    assert.equal(await checks.isRight('ann', user, 'old', there), true);
    assert.equal(await checks.isRight('ann', user, 'new', there), false);
    user.hash = await hashPassword('new');
    assert.equal(await checks.isRight('ann', user, 'old', there), false);
    assert.equal(await checks.isRight('ann', user, 'new', there), true);
  });

  it('let nobody in with a password that was changed while it was looked at', async () => {
    const user = new User('ann', await hashPassword('old'), []);
    const found = logins().isRight('ann', user, 'old', there);
    user.hash = guestHash;
    assert.equal(await found, false);
  });

  it('derive for an unknown user too, so that it takes as long', async () => {
    const found = logins().isRight('nobody', undefined, 'guest', there);
    assert.ok(found instanceof Promise);
    assert.equal(await found, false);
  });

  it('spend nothing on clients that have gone, and go on with the others', async () => {
    const user = new User('ann', await hashPassword('secret'), []);
    const checks = logins();
    const gone = Array.from({ length: 5_000 }, (_, i) =>
      Promise.resolve(checks.isRight('ann', user, `guess ${i}`, { isThere: () => false })),
    );
    assert.equal(await checks.isRight('ann', user, 'secret', there), true);
    assert.ok((await Promise.all(gone)).every((isRight) => !isRight));
  });

  it('take turns by address: who guesses from one keeps nobody out who comes from another', async () => {
    const user = new User('ann', await hashPassword('secret'), []);
    const checks = logins();
    let isThere = true;
    let guessed = 0;
    const guesses = Array.from({ length: 1_000 }, async (_, i) => {
      await checks.isRight('ann', user, `${i}`, { address: '192.0.2.1', isThere: () => isThere });
      guessed += 1;
    });
    assert.equal(await checks.isRight('ann', user, 'secret', { address: '192.0.2.2' }), true);
    assert.ok(guessed < 10, `${guessed}`);
    isThere = false;
    await Promise.all(guesses);
  });

  it('refuse what waits beyond a bound', async () => {
    const checks = logins();
    let isThere = true;
    const waiting = Array.from({ length: 10_002 }, (_, i) =>
      Promise.resolve(checks.isRight('nobody', undefined, `${i}`, { isThere: () => isThere })),
    );
    assert.equal(await checks.isRight('nobody', undefined, 'one more', there), false);
    isThere = false;
    await Promise.all(waiting);
  });
});
