/** Enhanced authentication of MQTT 5 (§4.12): a hook for whoever runs the server in a program of his own. */
export interface Authenticator {
  /** As clients name it: "SCRAM-SHA-256". */
  readonly method: string;
  /** A client begins with this method. */
  begin(): Authentication;
}

export interface Authentication {
  /**
   * Takes what the client sent (null: nothing) and answers what goes back to it; with `user`, the client is in as that user, whose permissions hold.
   * @throws anything: the client is refused
   */
  step(data: Buffer | null): AuthenticationStep | Promise<AuthenticationStep>;
}

export interface AuthenticationStep {
  readonly data?: Buffer;
  readonly user?: string;
  /** With `user`: absent, the server's vhost. */
  readonly vhost?: string;
}
