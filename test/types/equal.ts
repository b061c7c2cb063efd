/** Are two types the same? `Equal<any, X>` is false unless X is `any` too. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only where its argument is `true`. */
export type Expect<Truth extends true> = Truth;
