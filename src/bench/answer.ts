import type { Answered, Asked } from './load.ts';

/** Answers the parent's requests in this process, and ends with the parent. */
export function answerParent<Request>(handle: (request: Request) => Promise<unknown>): void {
  process.on('message', (message) => {
    const { id, request } = message as Asked<Request>;
    handle(request).then(
      (value) => tellParent({ id, value }),
      (cause: unknown) => tellParent({ id, error: messageOf(cause) }),
    );
  });
  process.on('disconnect', () => process.exit(0));
  // Ctrl-C reaches the whole process group; the parent decides when its load ends.
  process.on('SIGINT', () => undefined);
}

/** Tells the parent that this side of the load can't go on. */
export function reportFailure(cause: Error): void {
  tellParent({ failure: messageOf(cause) });
}

function tellParent(message: Answered): void {
  if (process.connected) process.send?.(message);
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
