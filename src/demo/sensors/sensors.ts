/** All sensors, in one process: a connection each, and bursts of readings when the director says so. */
import { setTimeout as sleep } from 'node:timers/promises';
import { FileRecorder } from '../../verify/file-recorder.ts';
import { part, play, tell, type Told } from '../role.ts';
import { readingsPerBurst, type SensorsPart, type SensorsReport } from './field.ts';
import { Sensor, type Tally } from './sensor.ts';

const { port, sensors, historyDirectory } = part<SensorsPart>();
/** Written before what it tells of is sent, but many at once. */
const recorder = FileRecorder.in(historyDirectory, 'sensors', { buffered: true });

/** A burst of 5,000 sensors takes half a second. That of a few takes long enough for the director to strike in it. */
const sensorsPerMs = Math.min(10, sensors / 100);
const connectionsPerMs = 8;
/** So short that hardly a moment of a burst has nothing outstanding. */
const tickMs = 1;
/** Whoever lost the broker looks for it again after a while of its own: all at once would be a flood. */
const retryMs = { least: 200, most: 1200 };

const tally: Tally = { connected: 0, resumed: 0, sent: 0, confirmed: 0, unknown: 0, open: 0, waiting: 0 };
let begun = 0;
let taken = 0;
let isOver = false;
let logged = 0;

function lost(sensor: Sensor, reason: string): void {
  if (isOver) return;
  // One says it for all.
  if (logged < 100) console.error(`sensors: ${reason}`);
  logged += 1;
  setTimeout(
    () => {
      if (!isOver) sensor.connect();
    },
    retryMs.least + Math.random() * (retryMs.most - retryMs.least),
  );
}

const all = Array.from({ length: sensors }, (_, index) => new Sensor(index + 1, port, recorder, tally, lost));

/** Calls with all sensors, a slice at a time, so many a millisecond. */
async function each(perMs: number, slice: (some: readonly Sensor[]) => void): Promise<void> {
  const start = performance.now();
  for (let done = 0; done < sensors;) {
    const due = Math.min(sensors, Math.ceil((performance.now() - start + tickMs) * perMs));
    slice(all.slice(done, due));
    done = due;
    await sleep(tickMs);
  }
}

async function burst(): Promise<void> {
  await each(sensorsPerMs, (some) => {
    for (const sensor of some) sensor.take(readingsPerBurst);
    recorder.flush();
    for (const sensor of some) sensor.flush();
    begun = taken + 1;
    // The director strikes while answers are outstanding.
    tell(report());
  });
  taken = begun;
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
  return { ...tally, begun, taken };
}

play(report, (message) => void told(message), 20);
await each(connectionsPerMs, (some) => {
  for (const sensor of some) sensor.connect();
});
