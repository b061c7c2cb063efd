/** The pseudo-queue of direct reply-to, and what the addresses of its consumers begin with. */
export const replyToQueue = 'amq.rabbitmq.reply-to';
export const replyToPrefix = `${replyToQueue}.`;
/** A question to the server itself: see `TopologyAnswers`. */
export const topologyKey = 'amq.postrider.topology';
/** A request to the server itself: see `ControlAnswers`. */
export const controlKey = 'amq.postrider.control';
