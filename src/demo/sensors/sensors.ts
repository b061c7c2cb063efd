/** All sensors, in one process: a connection each, and bursts of readings when the director says so. */
import { setTimeout as sleep } from 'node:timers/promises';
import { FileRecorder } from '../../verify/file-recorder.ts';
import { part, play, tell, type Told } from '../role.ts';
import { readingsPerBurst, type SensorsPart, type SensorsReport } from './field.ts';
import { Sensor, type Gate, type Tally } from './sensor.ts';

const { port, sensors, historyDirectory } = part<SensorsPart>();
/** Written before what it tells of is sent, but many at once. */
const recorder = FileRecorder.in(historyDirectory, 'sensors', { buffered: true });

/** A burst of 5,000 sensors takes half a second. That of a few takes long enough for the director to strike in it. */
const sensorsPerMs = Math.min(10, sensors / 100);
/** So short that hardly a moment of a burst has nothing outstanding. */
const tickMs = 1;
/** Whoever lost the broker looks for it again after a while of its own. */
const retryMs = { least: 200, most: 1200 };
/** Whom a broker has not let in yet waits in its system's queue; beyond 1,024 the system tries again after a second, or three. */
const mostConnecting = 500;

const tally: Tally = { connected: 0, resumed: 0, sent: 0, confirmed: 0, unknown: 0, open: 0, waiting: 0 };
let taken = 0;
let isOver = false;
let logged = 0;
let connecting = 0;
/** Those that want to connect. */
const outside: Sensor[] = [];

function comeIn(): void {
  while (connecting < mostConnecting && outside.length > 0 && !isOver) {
    connecting += 1;
    outside.pop()!.connect();
  }
}

const gate: Gate = {
  passed() {
    connecting -= 1;
    // At the end of this turn: an attempt may end within the call that began it.
    setImmediate(comeIn);
  },
  lost(sensor, reason) {
    // Some say it for all.
    if (logged < 100) console.error(`sensors: ${reason}`);
    logged += 1;
    const waitMs = retryMs.least + Math.random() * (retryMs.most - retryMs.least);
    setTimeout(() => {
      outside.push(sensor);
      comeIn();
    }, waitMs);
  },
};

const all = Array.from({ length: sensors }, (_, index) => new Sensor(index + 1, port, recorder, tally, gate));

async function burst(): Promise<void> {
  const start = performance.now();
  for (let done = 0; done < sensors;) {
    const due = Math.min(sensors, Math.ceil((performance.now() - start + tickMs) * sensorsPerMs));
    const some = all.slice(done, due);
    for (const sensor of some) sensor.take(readingsPerBurst);
    recorder.flush();
    for (const sensor of some) sensor.flush();
    done = due;
    // The director strikes while answers are outstanding.
    tell(report());
    await sleep(tickMs);
  }
  taken += 1;
}

async function told(message: Told): Promise<void> {
  if (message.do === 'burst') {
    await burst();
  } else if (message.do === 'stop') {
    isOver = true;
    recorder.close();
    for (const sensor of all) sensor.disconnect();
    setTimeout(() => process.exit(0), 100);
  }
}

function report(): SensorsReport {
  return { ...tally, taken };
}

play(report, (message) => void told(message), 20);
outside.push(...all);
comeIn();
