/** What a shop that was killed knows of its orders when it comes back: its own history, which it wrote order by order. */
import { basename } from 'node:path';
import { historyFiles, readHistory } from '../verify/history-file.ts';
import { parseMessageId } from '../verify/history.ts';

export interface OrdersBefore {
  readonly placed: number;
  readonly confirmed: number;
  /** Numbers of orders without an answer, with their last attempt. */
  readonly unanswered: ReadonlyMap<number, number>;
}

export const noOrdersBefore: OrdersBefore = { placed: 0, confirmed: 0, unanswered: new Map() };

/** From the histories of all earlier lives of the producer. */
export function ordersBefore(historyDirectory: string, producer: string): OrdersBefore {
  const files = historyFiles(historyDirectory).filter((file) => basename(file).startsWith(`${producer}-`));
  if (files.length === 0) return noOrdersBefore;
  let placed = 0;
  let confirmed = 0;
  const unanswered = new Map<number, number>();
  for (const event of readHistory(files)) {
    if (event.type !== 'publish' && event.type !== 'publish-ok') continue;
    const number = parseMessageId(event.id)?.sequence ?? 0;
    if (event.type === 'publish') {
      placed = Math.max(placed, number);
      unanswered.set(number, event.attempt);
    } else {
      confirmed += 1;
      unanswered.delete(number);
    }
  }
  return { placed, confirmed, unanswered };
}
