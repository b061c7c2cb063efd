// Loaded before the broker: segments find no space, as on a full disk, while small files still do.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { open } = fs.promises;
fs.promises.open = async (path, ...rest) => {
  const handle = await open(path, ...rest);
  if (!/journal-\d+/.test(path)) return handle;
  handle.write = () => {
    const message = 'ENOSPC: no space left on device, write';
    return Promise.reject(Object.assign(new Error(message), { code: 'ENOSPC', errno: -28, syscall: 'write' }));
  };
  return handle;
};
syncBuiltinESMExports();
