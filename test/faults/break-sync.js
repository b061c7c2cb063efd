// Loaded before the broker, as break-sync.js?trigger=FILE: once FILE exists, every sync fails, as on a dying disk.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const trigger = new URL(import.meta.url).searchParams.get('trigger');

function broken() {
  return fs.existsSync(trigger);
}

function error() {
  return Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO', errno: -5, syscall: 'fdatasync' });
}

for (const name of ['fdatasync', 'fsync']) {
  const real = fs[name];
  const realSync = fs[`${name}Sync`];
  fs[name] = (descriptor, done) => (broken() ? process.nextTick(done, error()) : real(descriptor, done));
  fs[`${name}Sync`] = (descriptor) => {
    if (broken()) throw error();
    realSync(descriptor);
  };
}

const { open } = fs.promises;
fs.promises.open = async (...args) => {
  const handle = await open(...args);
  for (const name of ['datasync', 'sync']) {
    const real = handle[name].bind(handle);
    handle[name] = () => (broken() ? Promise.reject(error()) : real());
  }
  return handle;
};
syncBuiltinESMExports();
