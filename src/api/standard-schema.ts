/** The part of Standard Schema v1 (standardschema.dev) that Postrider uses: zod, valibot, arktype and others keep it. */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** What the libraries agree on. */
  readonly '~standard': {
    /** Of Standard Schema. */
    readonly version: 1;
    /** The library. */
    readonly vendor: string;
    /** The value as the schema makes it, or what is wrong with it. */
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    /** For the compiler only. */
    readonly types?:
      | {
          /** What may be published. */
          readonly input: Input;
          /** What a consumer gets. */
          readonly output: Output;
        }
      | undefined;
  };
}

export type SchemaResult<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] };

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What may be published where this schema stands. */
export type SchemaInput<Schema extends StandardSchema> = NonNullable<Schema['~standard']['types']>['input'];

/** What a consumer gets where this schema stands. */
export type SchemaOutput<Schema extends StandardSchema> = NonNullable<Schema['~standard']['types']>['output'];

/** "items.0.price: expected a number", the first few of them. */
export function describeIssues(issues: readonly SchemaIssue[]): string {
  const lines = issues.slice(0, 3).map(({ message, path = [] }) => {
    const at = path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
    return at === '' ? message : `${at}: ${message}`;
  });
  if (issues.length > 3) lines.push(`and ${issues.length - 3} more`);
  return lines.join('; ');
}
