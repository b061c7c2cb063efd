import type { Serializer } from './serializer.ts';

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

/** What a schema says of a value: what it makes of it, or what is wrong with it. */
export type SchemaResult<Output> =
  | {
      /** As the schema makes it. */
      readonly value: Output;
      /** There are none. */
      readonly issues?: undefined;
    }
  | {
      /** What is wrong. */
      readonly issues: readonly SchemaIssue[];
    };

/** One thing that is wrong with a payload. */
export interface SchemaIssue {
  /** What is wrong. */
  readonly message: string;
  /** Where, from the outside in. */
  readonly path?: readonly (PropertyKey | SchemaPathSegment)[] | undefined;
}

/** A step of a path that says more than its key. */
export interface SchemaPathSegment {
  /** Of an object or an array. */
  readonly key: PropertyKey;
}

/** What may be published where this schema stands. */
export type SchemaInput<Schema extends StandardSchema> = NonNullable<Schema['~standard']['types']>['input'];

/** What a consumer gets where this schema stands. */
export type SchemaOutput<Schema extends StandardSchema> = NonNullable<Schema['~standard']['types']>['output'];

/**
 * Options whose payload is what the schema says. The schema is taken as it is: to compare it with `StandardSchema` member by member, as an
 * intersection with the options would, is too deep for the compiler with arktype's types.
 */
export type WithSchema<Options, Schema extends StandardSchema> = Omit<Options, 'schema' | 'serializer'> & {
  /** Any Standard Schema (zod, valibot, arktype...): types the payload, and checks it when it is published and when it is consumed. */
  readonly schema: Schema;
  /** Default: JSON, and bytes as they are. */
  readonly serializer?: Serializer<SchemaInput<Schema>>;
};

/** "items.0.price: expected a number", the first few of them. */
export function describeIssues(issues: readonly SchemaIssue[]): string {
  const lines = issues.slice(0, 3).map(({ message, path = [] }) => {
    const at = path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
    return at === '' ? message : `${at}: ${message}`;
  });
  if (issues.length > 3) lines.push(`and ${issues.length - 3} more`);
  return lines.join('; ');
}
