/** The end of the demo: what the checker says of the histories. */
import {
  check,
  DEFAULT_MINIMUMS,
  historyFiles,
  readHistory,
  renderReport,
  renderTable,
  type Verdict,
} from '../verify/index.ts';
import { queueOf, services } from './store.ts';

export interface Run {
  readonly orders: number;
  /** Somebody else's broker, which nobody killed. */
  readonly url: string | null;
}

export function judge(historyDirectory: string, { orders, url }: Run): Verdict {
  const { confirmed } = DEFAULT_MINIMUMS['at-least-once'];
  return check(readHistory(historyFiles(historyDirectory)), 'at-least-once', {
    everySettled: true,
    keep: 3,
    // A short run on request is judged by what it had; nobody waits for an answer of a broker that nobody killed.
    minimums: { confirmed: Math.min(confirmed, orders), ...(url === null ? {} : { unknown: 0 }) },
  });
}

/** The table of the services; what broke, if anything did; `lost N` last. */
export function tell(verdict: Verdict, prefix: string): string[] {
  const queues = Object.fromEntries(services.map((service) => [queueOf(prefix, service), service]));
  const options = { noun: 'orders', heading: 'service', queues };
  return (verdict.verdict === 'held' ? renderTable(verdict, options) : renderReport(verdict, options)).split('\n');
}
