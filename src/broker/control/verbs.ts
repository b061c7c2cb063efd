import type { ControlVerb } from './control-verb.ts';
import { whoAmI } from './who-am-i.ts';

/** What a session may ask the broker for; a server adds verbs of its own (server/amqp/control/). */
export const controlVerbs: readonly ControlVerb[] = [whoAmI];
