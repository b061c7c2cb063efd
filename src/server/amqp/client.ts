import type { FieldTable } from '../../format/field-table.ts';

/** What a client said of itself in connection.start-ok. */
export interface Client {
  readonly properties: FieldTable;
  readonly consumerCancelNotify: boolean;
  readonly connectionBlocked: boolean;
  readonly authenticationFailureClose: boolean;
}

export const unknownClient: Client = clientOf({});

export function clientOf(properties: FieldTable): Client {
  const given = properties['capabilities'];
  const capabilities = (typeof given === 'object' ? given : null) as FieldTable | null;
  return {
    properties,
    consumerCancelNotify: capabilities?.['consumer_cancel_notify'] === true,
    connectionBlocked: capabilities?.['connection.blocked'] === true,
    authenticationFailureClose: capabilities?.['authentication_failure_close'] === true,
  };
}
