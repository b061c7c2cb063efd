import type { AddressInfo, Server } from 'node:net';

/** Resolves once it listens. Port 0 takes a free one. @throws the error of `listen`: EADDRINUSE, EACCES, ... */
export async function listening(
  server: Server,
  host: string,
  port: number,
  failed: (error: Error) => void,
): Promise<AddressInfo> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: 4096 }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', failed);
  return server.address() as AddressInfo;
}
