import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import tseslint from 'typescript-eslint';

/**
 * What a folder of the main side may import from its siblings (design: pure things below, composition above). Written as the
 * folders that it must not import.
 */
const forbidden = {
  contract: [
    'budget',
    'core',
    'cli',
    'data',
    'engine',
    'evaluation',
    'formats',
    'services',
    'setup',
    'shell',
    'store',
  ],
  budget: ['core', 'cli', 'data', 'engine', 'evaluation', 'formats', 'services', 'setup', 'shell', 'store'],
  formats: ['core', 'cli', 'data', 'engine', 'evaluation', 'services', 'setup', 'shell', 'store'],
  data: ['core', 'cli', 'engine', 'evaluation', 'services', 'setup', 'shell', 'store'],
  evaluation: ['core', 'cli', 'engine', 'services', 'setup', 'shell', 'store'],
  store: ['core', 'cli', 'data', 'engine', 'evaluation', 'formats', 'services', 'setup', 'shell'],
  engine: ['core', 'cli', 'evaluation', 'services', 'setup', 'shell', 'store'],
  'engine/graph': [
    'model',
    'adapters',
    'training',
    'inference',
    'process',
    'formats',
    'contract',
    'budget',
    'data',
  ],
  services: [
    'core',
    'cli',
    'setup',
    'shell',
    'engine/graph',
    'engine/model',
    'engine/adapters',
    'engine/training',
    'engine/inference',
    'engine/runtime',
  ],
  shell: ['budget', 'core', 'cli', 'data', 'engine', 'evaluation', 'formats', 'services', 'setup', 'store'],
};

const importRules = Object.entries(forbidden).map(([folder, targets]) => ({
  files: [`src-main/${folder}/**/*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            regex: `^\\.{1,2}/(.*/)?(${targets.join('|')})/`,
            message: `src-main/${folder} must not depend on this folder (see the import rules in eslint.config.js).`,
          },
          ...(folder === 'contract' || folder === 'budget'
            ? [{ regex: '^(?!zod$)[^.]', message: `${folder} imports nothing but a schema library.` }]
            : []),
          ...(folder.startsWith('engine')
            ? [
                {
                  regex: '^(electron|better-sqlite3)$',
                  message: 'The engine knows no store and no Electron.',
                },
              ]
            : []),
        ],
      },
    ],
  },
}));

export default tseslint.config(
  { ignores: ['node_modules/', 'out/', 'dist/', 'tests/fixtures/'] },
  ...tseslint.configs.recommended,
  ...svelte.configs['flat/recommended'],
  {
    languageOptions: { globals: globals.node },
    rules: {
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
  ...importRules,
  {
    files: ['src-renderer/**/*.{ts,svelte}'],
    languageOptions: { globals: globals.browser },
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: 'src-main/(?!(contract|budget)/)',
              message: 'The page imports only contract and budget from the main side.',
            },
            { regex: '^(node:|electron$)', message: 'The page runs in a sandbox.' },
          ],
        },
      ],
    },
  },
  {
    files: ['src-renderer/**/*.svelte'],
    languageOptions: { parserOptions: { parser: tseslint.parser } },
  },
);
