// Loaded before the broker, as break-disk.js?trigger=FILE: once FILE exists, every write to a file and every sync fails,
// as on a dying disk. A synced write (O_DSYNC) is one call, so a sync that fails may be a write that fails.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const trigger = new URL(import.meta.url).searchParams.get('trigger');

function broken() {
  return fs.existsSync(trigger);
}

function error(syscall) {
  return Object.assign(new Error(`EIO: i/o error, ${syscall}`), { code: 'EIO', errno: -5, syscall });
}

for (const name of ['fdatasync', 'fsync', 'write', 'writev']) {
  const real = fs[name];
  fs[name] = (...args) => {
    const done = args.at(-1);
    if (broken()) process.nextTick(done, error(name));
    else real(...args);
  };
}
for (const name of ['fdatasyncSync', 'fsyncSync']) {
  const real = fs[name];
  fs[name] = (descriptor) => {
    if (broken()) throw error(name);
    real(descriptor);
  };
}

const { open } = fs.promises;
fs.promises.open = async (...args) => {
  const handle = await open(...args);
  for (const name of ['datasync', 'sync', 'write', 'writev']) {
    const real = handle[name].bind(handle);
    handle[name] = (...rest) => (broken() ? Promise.reject(error(name)) : real(...rest));
  }
  return handle;
};
syncBuiltinESMExports();
