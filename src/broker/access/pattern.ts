/**
 * The regular expressions of permissions. A client chooses the names that they are tried on, so no expression may take longer than
 * its length times the name's: they are run as sets of states (Thompson 1968), never by trying one way after another.
 *
 * Known are literals, `.`, `^`, `$`, classes (`[a-z0-9_.-]`, `\d \w \s` and their opposites), groups, `|`, and `* + ? {n} {n,m}`. What
 * looks ahead or back, or names an earlier group, can't be run that way and is refused.
 */
import { BrokerError } from '../broker-error.ts';

const longestPattern = 1_000;
const mostSteps = 2_000;
const mostRepeats = 255;

/** Each stands for a text, and for it alone: whoever chose the text has no say in what else matches. Null: for what nothing matches. */
export type PatternNames = Readonly<Record<string, string | null>>;

/** Whether a character belongs to a class. */
type Test = (code: number) => boolean;

type Node =
  | { readonly kind: 'empty' | 'start' | 'end' }
  | { readonly kind: 'test'; readonly test: Test }
  | { readonly kind: 'all' | 'any'; readonly parts: readonly Node[] }
  | { readonly kind: 'repeat'; readonly part: Node; readonly least: number; readonly most: number };

/** `to` and `or` are places in the program. */
type Step =
  | { readonly kind: 'test'; readonly test: Test }
  | { readonly kind: 'start' | 'end' | 'match' }
  | { readonly kind: 'split'; to: number; or: number };

export class Pattern {
  readonly source: string;
  readonly #matchesAll: boolean;
  readonly #program: readonly Step[];

  /** `names`: what `{NAME}` stands for. @throws BrokerError PRECONDITION_FAILED saying what is wrong */
  constructor(source: string, names: PatternNames = {}) {
    this.source = source;
    this.#matchesAll = source === '.*' || source === '^.*$';
    // As in RabbitMQ, nothing permits nothing.
    this.#program = compile(source, new Parser(source === '' ? '^$' : source, names).parse());
  }

  /** Anywhere in the text, unless the pattern says otherwise. */
  matches(text: string): boolean {
    if (this.#matchesAll) return true;
    const program = this.#program;
    /** At which place of the text a step was last reached. */
    const reached = new Int32Array(program.length).fill(-1);
    let now: number[] = [];
    let next: number[] = [];
    const characters = Array.from(text, (character) => character.codePointAt(0)!);
    for (let at = 0; at <= characters.length; at++) {
      now.push(0);
      const code = characters[at] ?? -1;
      // What a split leads to is put behind and looked at for this same place.
      for (let i = 0; i < now.length; i++) {
        const index = now[i]!;
        if (reached[index] === at) continue;
        reached[index] = at;
        const step = program[index]!;
        switch (step.kind) {
          case 'match':
            return true;
          case 'split':
            now.push(step.to);
            if (step.or !== step.to) now.push(step.or);
            break;
          case 'start':
            if (at === 0) now.push(index + 1);
            break;
          case 'end':
            if (at === characters.length) now.push(index + 1);
            break;
          case 'test':
            if (code >= 0 && step.test(code)) next.push(index + 1);
        }
      }
      [now, next] = [next, now];
      next.length = 0;
    }
    return false;
  }
}

function compile(source: string, root: Node): Step[] {
  const program: Step[] = [];
  const emit = (step: Step): void => {
    program.push(step);
    if (program.length > mostSteps) throw invalid(source, 'it is too large');
  };
  const split = (): Step & { kind: 'split' } => {
    const step = { kind: 'split', to: program.length + 1, or: program.length + 1 } as const;
    emit(step);
    return step;
  };
  const write = (node: Node): void => {
    switch (node.kind) {
      case 'empty':
        return;
      case 'start':
      case 'end':
        emit({ kind: node.kind });
        return;
      case 'test':
        emit(node);
        return;
      case 'all':
        for (const part of node.parts) write(part);
        return;
      case 'any': {
        const ends: (Step & { kind: 'split' })[] = [];
        for (const [index, part] of node.parts.entries()) {
          const isLast = index === node.parts.length - 1;
          const way = isLast ? null : split();
          write(part);
          if (!isLast) ends.push(split());
          if (way !== null) way.or = program.length;
        }
        for (const end of ends) end.to = end.or = program.length;
        return;
      }
      case 'repeat': {
        for (let i = 0; i < node.least; i++) write(node.part);
        if (node.most === Infinity) {
          const before = split();
          write(node.part);
          const again = split();
          again.to = before.to - 1;
          before.or = again.or = program.length;
          return;
        }
        const ways: (Step & { kind: 'split' })[] = [];
        for (let i = node.least; i < node.most; i++) {
          ways.push(split());
          write(node.part);
        }
        for (const way of ways) way.or = program.length;
      }
    }
  };
  write(root);
  emit({ kind: 'match' });
  return program;
}

const isDigit: Test = (code) => code >= 0x30 && code <= 0x39;
const isWord: Test = (code) =>
  isDigit(code) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a) || code === 0x5f;
const isSpace: Test = (code) => code === 0x20 || (code >= 0x09 && code <= 0x0d);
const not =
  (test: Test): Test =>
  (code) =>
    !test(code);

const classes: Readonly<Record<string, Test>> = {
  d: isDigit,
  D: not(isDigit),
  w: isWord,
  W: not(isWord),
  s: isSpace,
  S: not(isSpace),
};

class Parser {
  readonly #source: string;
  readonly #characters: readonly string[];
  readonly #names: PatternNames;
  #at = 0;

  constructor(source: string, names: PatternNames) {
    this.#source = source;
    this.#names = names;
    this.#characters = Array.from(source);
    if (this.#characters.length > longestPattern) throw this.#invalid(`it has more than ${longestPattern} characters`);
  }

  parse(): Node {
    const root = this.#either();
    if (this.#at < this.#characters.length) throw this.#invalid("a ')' has no '('");
    return root;
  }

  #either(): Node {
    const parts = [this.#sequence()];
    while (this.#take('|')) parts.push(this.#sequence());
    return parts.length === 1 ? parts[0]! : { kind: 'any', parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    for (;;) {
      const next = this.#peek();
      if (next === undefined || next === '|' || next === ')') break;
      parts.push(this.#repeated(this.#atom()));
    }
    return parts.length === 1 ? parts[0]! : { kind: 'all', parts };
  }

  #repeated(part: Node): Node {
    const bounds = this.#bounds();
    if (bounds === null) return part;
    // Whether it takes as few as it can changes nothing of whether it matches.
    this.#take('?');
    if (this.#peek() === '+' || this.#bounds() !== null) throw this.#invalid('something is repeated twice');
    return { kind: 'repeat', part, ...bounds };
  }

  #bounds(): { readonly least: number; readonly most: number } | null {
    if (this.#take('*')) return { least: 0, most: Infinity };
    if (this.#take('+')) return { least: 1, most: Infinity };
    if (this.#take('?')) return { least: 0, most: 1 };
    const [given, first, comma, last] = /^\{(\d{1,4})(,?)(\d{0,4})\}/.exec(this.#rest()) ?? [];
    if (given === undefined) return null;
    this.#at += given.length;
    const least = Number(first);
    const most = comma === '' ? least : last === '' ? Infinity : Number(last);
    if (most < least) throw this.#invalid(`${given} ends before it begins`);
    if (least > mostRepeats || (most > mostRepeats && most !== Infinity)) {
      throw this.#invalid(`${given} repeats more than ${mostRepeats} times`);
    }
    return { least, most };
  }

  #atom(): Node {
    const character = this.#next();
    switch (character) {
      case '^':
        return { kind: 'start' };
      case '$':
        return { kind: 'end' };
      case '.':
        return { kind: 'test', test: (code) => code !== 0x0a };
      case '(':
        return this.#group();
      case '[':
        return { kind: 'test', test: this.#class() };
      case '\\':
        return { kind: 'test', test: this.#escape() };
      case '*':
      case '+':
      case '?':
        throw this.#invalid(`'${character}' stands behind nothing`);
      case '{':
        return this.#name() ?? { kind: 'test', test: is(character) };
      default:
        return { kind: 'test', test: is(character) };
    }
  }

  #name(): Node | null {
    const [given, name] = /^(\w+)\}/.exec(this.#rest()) ?? [];
    if (given === undefined || name === undefined || !Object.hasOwn(this.#names, name)) return null;
    this.#at += given.length;
    const text = this.#names[name] ?? null;
    if (text === null) return { kind: 'test', test: () => false };
    return { kind: 'all', parts: Array.from(text, (each) => ({ kind: 'test', test: is(each) })) };
  }

  #group(): Node {
    if (this.#take('?') && !this.#take(':')) throw this.#invalid("'(?' is known as '(?:' alone");
    const inner = this.#either();
    if (!this.#take(')')) throw this.#invalid("a '(' has no ')'");
    return inner;
  }

  #escape(): Test {
    const character = this.#next();
    const known = classes[character];
    if (known !== undefined) return known;
    if (/[A-Za-z0-9]/.test(character)) throw this.#invalid(`'\\${character}' is not known`);
    return is(character);
  }

  #class(): Test {
    const isNot = this.#take('^');
    const tests: Test[] = [];
    for (let isFirst = true; ; isFirst = false) {
      const from = this.#next();
      if (from === ']' && !isFirst) break;
      if (from === '[' && this.#peek() === ':') throw this.#invalid("'[:' is not known");
      const isClass = from === '\\' && classes[this.#peek() ?? ''] !== undefined;
      const low = from === '\\' ? this.#escape() : is(from);
      const lowCode = from === '\\' ? this.#characters[this.#at - 1]!.codePointAt(0)! : from.codePointAt(0)!;
      if (isClass || this.#peek() !== '-' || this.#characters[this.#at + 1] === ']') {
        tests.push(low);
        continue;
      }
      this.#at += 1;
      const to = this.#next();
      if (to === '\\') this.#escape();
      const high = this.#characters[this.#at - 1]!.codePointAt(0)!;
      if (high < lowCode) throw this.#invalid('a range of characters ends before it begins');
      tests.push((code) => code >= lowCode && code <= high);
    }
    const test: Test = (code) => tests.some((each) => each(code));
    return isNot ? not(test) : test;
  }

  #rest(): string {
    return this.#characters.slice(this.#at, this.#at + 12).join('');
  }

  #peek(): string | undefined {
    return this.#characters[this.#at];
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at += 1;
    return true;
  }

  #next(): string {
    const character = this.#peek();
    if (character === undefined) throw this.#invalid('it ends early');
    this.#at += 1;
    return character;
  }

  #invalid(why: string): BrokerError {
    return invalid(this.#source, why);
  }
}

function is(character: string): Test {
  const wanted = character.codePointAt(0)!;
  return (code) => code === wanted;
}

function invalid(source: string, why: string): BrokerError {
  const shown = source.length > 100 ? `${source.slice(0, 100)}...` : source;
  return new BrokerError('PRECONDITION_FAILED', `'${shown}' can't be used as a regular expression: ${why}`);
}
