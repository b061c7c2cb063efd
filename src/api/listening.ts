import { PostriderError } from './errors.ts';

export interface Place {
  readonly host: string;
  /** 0, where it is asked for: any free one. */
  readonly port: number;
}

/** The place that was taken, once it was. @throws PostriderError REFUSED */
export async function listening(listen: Promise<{ readonly port: number }>, { host, port }: Place): Promise<Place> {
  try {
    return { host, port: (await listen).port };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'EADDRINUSE' ? 'the port is taken: choose another, or 0 for any free one' : (error as Error).message;
    throw new PostriderError('REFUSED', `can't listen on ${host}:${port}: ${why}`, { cause: error });
  }
}
