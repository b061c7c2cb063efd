/** Payload types that come from schemas: zod's, valibot's and arktype's. Judged by `tsc`, never run. */
/* eslint-disable @typescript-eslint/no-unused-vars -- only types are looked at */
import { type } from 'arktype';
import type { Message, Mq, Queue, Topic } from 'postrider';
import * as v from 'valibot';
import { z } from 'zod';
import type { Equal, Expect } from './equal.ts';

/** What a consumer gets. */
interface Out {
  id: number;
  price: number;
  express: boolean;
}
/** What may be published: a price in text, and nothing said of express. */
interface In {
  id: number;
  price: string;
  express?: boolean | undefined;
}

export const ofZod = z.object({
  id: z.number(),
  price: z.string().transform(Number),
  express: z.boolean().default(false),
});

export const ofValibot = v.object({
  id: v.number(),
  price: v.pipe(v.string(), v.transform(Number)),
  express: v.optional(v.boolean(), false),
});

export const ofArktype = type({
  id: 'number',
  price: ['string', '=>', Number],
  express: 'boolean = false',
});

export async function inferred(mq: Mq): Promise<void> {
  const zod = await mq.queue('zod', { schema: ofZod });
  const valibot = await mq.queue('valibot', { schema: ofValibot, maxLength: 10 });
  const arktype = await mq.queue('arktype', { schema: ofArktype });
  const topic = mq.topic('orders.placed', { schema: ofZod });
  const subscription = await topic.subscribe('billing');
  await arktype.publish({ id: 1, price: '5' });
  await arktype.consume((order) => {
    type _ = Expect<Equal<typeof order, Out>>;
  });
  type _ = [
    Expect<Equal<typeof zod, Queue<Out, In>>>,
    Expect<Equal<typeof valibot, Queue<Out, In>>>,
    Expect<Equal<typeof topic, Topic<Out, In>>>,
    Expect<Equal<typeof subscription, Queue<Out, In>>>,
  ];
  await zod.publish({ id: 1, price: '5' });
  await zod.consume((order, message) => {
    type _ = [Expect<Equal<typeof order, Out>>, Expect<Equal<typeof message, Message<Out>>>];
  });
  for await (const message of subscription.messages()) {
    type _ = Expect<Equal<typeof message.payload, Out>>;
  }
  // @ts-expect-error -- the price is published as text
  await zod.publish({ id: 1, price: 5 });
  // @ts-expect-error -- the id is missing
  await valibot.publish({ price: '5' });
  // @ts-expect-error -- the price is published as text
  await arktype.publish({ id: 1, price: 5 });
  // @ts-expect-error -- no schema
  await mq.queue('nothing', { schema: { parse: () => 1 } });
}
