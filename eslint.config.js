import { fileURLToPath } from 'node:url';
import eslint from '@eslint/js';
import { createNodeResolver, importX } from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

const root = fileURLToPath(new URL('.', import.meta.url));

/** The engine contract, with its errors and its clock, is all that a layer above may see of an engine. */
const contract = ['./engine/engine.ts', './engine/errors.ts', './engine/clock.ts'];

/** The layers of docs/ARCHITECTURE.md: what `target` may not import, and why. */
const zones = [
  {
    target: './src/format',
    from: './src',
    except: ['./format'],
    message: 'format holds the encodings that a protocol and the broker share; it stands below both.',
  },
  {
    target: './src/wire',
    from: './src',
    except: ['./wire', './format'],
    message: 'wire holds pure codecs: bytes and values, nothing of the broker.',
  },
  {
    target: './src/engine',
    from: './src',
    except: ['./engine', './format'],
    message: 'An engine imports the contract, the encodings below it, and nothing above it.',
  },
  {
    target: './src/engine/engine.ts',
    from: './src/engine/*/**/*',
    message: 'The contract knows no engine.',
  },
  {
    target: './src/broker',
    from: './src',
    except: ['./broker', './format', ...contract],
    message: 'The broker speaks no protocol and knows its engine by the contract alone.',
  },
  {
    target: './src/server',
    from: './src',
    except: ['./server', './wire', './format', './broker', ...contract],
    message: 'A server stands on the broker and the wire; it is handed its engine.',
  },
  {
    target: './src/server/socket',
    from: './src/server/!(socket)/**/*',
    message: 'What listeners share knows no protocol.',
  },
  {
    target: './src/server/amqp',
    from: './src/server/mqtt',
    message: 'Protocols are siblings: what they share stands in server/socket or in the broker.',
  },
  {
    target: './src/server/mqtt',
    from: ['./src/server/amqp', './src/wire/amqp'],
    message: 'Protocols are siblings: what they share stands in server/socket or in the broker.',
  },
  {
    target: './src/api',
    from: './src',
    except: [
      './api',
      './broker',
      './format',
      './engine',
      './errors.ts',
      './file-directory.ts',
      './nearest.ts',
      './version.ts',
      './server/amqp/index.ts',
      './server/mqtt/index.ts',
    ],
    message: 'The API stands on the broker and the engines, not on the command line; a server it only starts.',
  },
  {
    target: './src/verify',
    from: './src',
    except: ['./verify', ...contract],
    message: 'The judge must not stand on what it judges; of the engine it may import types.',
  },
  {
    target: ['./src/!(cli)/**/*', './src/*.ts'],
    from: './src/cli',
    message: 'Nothing imports the command line.',
  },
  {
    target: './src',
    from: ['./test', './bench', './scripts', './examples'],
    message: 'What is shipped must not import what is not.',
  },
];

export default tseslint.config(
  { ignores: ['dist/', 'api-docs/', 'data/', 'coverage/', 'bench/results/', 'node_modules/'] },
  eslint.configs.recommended,
  {
    plugins: { 'import-x': importX },
    settings: {
      'import-x/resolver-next': [createNodeResolver({ extensions: ['.ts', '.js'] })],
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] },
    },
    rules: {
      'import-x/no-cycle': ['error', { ignoreExternal: true }],
      'import-x/no-self-import': 'error',
      'import-x/first': 'error',
      'no-console': 'off',
      'no-constant-condition': ['error', { checkLoops: false }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'object-shorthand': ['error', 'properties'],
      'prefer-const': ['error', { destructuring: 'all' }],
    },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: root },
    },
    rules: {
      'import-x/no-restricted-paths': ['error', { basePath: root, zones }],
      // An engine is handed back, as the contract's interfaces, what it made itself.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',

      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          // node:test runs and awaits what it registers; the promise it returns is for nobody.
          allowForKnownSafeCalls: [
            {
              from: 'package',
              package: 'node:test',
              name: ['test', 'it', 'describe', 'suite', 'skip', 'only', 'todo'],
            },
          ],
        },
      ],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'separate-type-imports' }],
      // With verbatim modules `import { type X }` still loads the module.
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],

      // Indexing a typed array yields `number | undefined` here; `!` is how a hot loop says that it checked the bounds.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Values from files, sockets and other people's clients are checked even where their type says it isn't needed.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      '@typescript-eslint/no-dynamic-delete': 'off',
      '@typescript-eslint/no-extraneous-class': 'off',
      '@typescript-eslint/unified-signatures': 'off',
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      '@typescript-eslint/unbound-method': ['error', { ignoreStatic: true }],
      // An implementation of an asynchronous contract may have nothing to await.
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-empty-function': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    files: ['**/*.js'],
    languageOptions: {
      globals: { console: 'readonly', process: 'readonly', URL: 'readonly', Buffer: 'readonly' },
    },
  },
);
