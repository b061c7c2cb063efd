import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '../../src/index.ts';
import { apiSuite } from './suite.ts';

const log = (): void => undefined;

apiSuite({ name: 'memory:', kind: 'embedded', open: () => connect('memory:', { log }) });

let directory = '';
apiSuite({
  name: 'file:',
  kind: 'embedded',
  async open() {
    directory = await mkdtemp(join(tmpdir(), 'postrider-api-'));
    return connect(`file:${directory}`, { log });
  },
  close: () => rm(directory, { recursive: true, force: true }),
});
