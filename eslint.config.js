import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import tseslint from 'typescript-eslint';
import { importRule } from './eslint.importRules.js';
import { proseRule } from './eslint.proseRules.js';

const literalSpread = {
  selector: 'ObjectExpression > SpreadElement > ObjectExpression',
  message:
    'Write the properties themselves: a spread of a literal only keeps the formatter from breaking lines.',
};
/** A call takes one argument for each element: with some hundred thousand it ends in a RangeError. */
const callSpreads = [
  {
    selector: "CallExpression[callee.object.name='Math'] > SpreadElement",
    message: 'Too many elements end this call: reduce the list, or loop over it.',
  },
  {
    selector: 'CallExpression[callee.property.name=/^(push|unshift|splice|fromCharCode)$/] > SpreadElement',
    message: 'Too many elements end this call: add them one by one.',
  },
];

export default tseslint.config(
  { ignores: ['node_modules/', 'out/', 'dist/', 'tests/fixtures/', 'eslint.proseRules.js'] },
  ...tseslint.configs.recommended,
  ...svelte.configs['flat/recommended'],
  {
    languageOptions: { globals: globals.node },
    plugins: { studio: { rules: { imports: importRule, prose: proseRule } } },
    rules: {
      'studio/prose': 'error',
      'no-restricted-syntax': ['error', literalSpread],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/consistent-type-imports': 'error',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'off',
    },
  },
  {
    files: ['src-main/**/*.ts'],
    ignores: ['src-main/shell/**'],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
  {
    files: ['src-main/**/*.{ts,mts,mjs}', 'src-renderer/**/*.{ts,svelte}'],
    rules: {
      'studio/imports': 'error',
      // Tests know how long their lists are.
      'no-restricted-syntax': ['error', literalSpread, ...callSpreads],
    },
  },
  {
    files: ['src-renderer/**/*.{ts,svelte}'],
    languageOptions: { globals: globals.browser },
  },
  {
    files: ['src-renderer/**/*.svelte', 'src-renderer/**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: tseslint.parser } },
  },
);
