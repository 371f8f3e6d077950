import { drawSplits, type Draws, type Splits } from '../draws.ts';

/** Sums, differences and products of whole numbers up to 40, as text and as word problems in GSM8K's form. */

const people = [
  { name: 'Mia', subject: 'she' },
  { name: 'Tom', subject: 'he' },
  { name: 'Anna', subject: 'she' },
  { name: 'Ben', subject: 'he' },
  { name: 'Lena', subject: 'she' },
  { name: 'Paul', subject: 'he' },
  { name: 'Nora', subject: 'she' },
  { name: 'Max', subject: 'he' },
  { name: 'Ida', subject: 'she' },
  { name: 'Leo', subject: 'he' },
  { name: 'Clara', subject: 'she' },
  { name: 'Finn', subject: 'he' },
] as const;

type Person = (typeof people)[number];

/** Things that are counted, in the plural. */
const things = [
  'apples',
  'pears',
  'coins',
  'stones',
  'shells',
  'cards',
  'buttons',
  'marbles',
  'stamps',
  'balls',
  'pens',
  'cups',
  'tickets',
  'keys',
] as const;

const containers = ['bags', 'boxes', 'jars', 'baskets'] as const;

/** A row in GSM8K's form. */
export interface WordProblem {
  question: string;
  answer: string;
}

/** Of what is counted, and of what is added or taken away at once. */
const largest = 40;
const largestStep = 9;

/** A calculation and what it comes to. */
interface Calculation {
  a: number;
  sign: '+' | '-' | '*';
  b: number;
  result: number;
}

function calculation(draws: Draws): Calculation {
  const sign = draws.pick(['+', '-', '*'] as const);
  if (sign === '*') {
    const [a, b] = [draws.between(2, 8), draws.between(2, 5)];
    return { a, sign, b, result: a * b };
  }
  const b = draws.between(2, largestStep);
  const a = draws.between(b + 1, largest - largestStep);
  return sign === '+' ? { a, sign, b, result: a + b } : { a, sign, b, result: a - b };
}

const written = ({ a, sign, b, result }: Calculation) => `${a} ${sign} ${b} = ${result}`;

/** A few calculations, some also in words. */
export function calculations(draws: Draws): string {
  return Array.from({ length: 6 }, () => {
    const one = calculation(draws);
    const { a, sign, b, result } = one;
    if (draws.chance(0.6))
      return `${draws.chance(0.2) ? draws.pick(['First ', 'Then ']) : ''}${written(one)}.`;
    if (sign === '+') return `${b} more than ${a} is ${result}.`;
    return sign === '-' ? `${b} less than ${a} is ${result}.` : `${a} times ${b} is ${result}.`;
  }).join(' ');
}

/** What happens to somebody's things, and how much it changes them. */
interface Event {
  sign: '+' | '-';
  text: (subject: string, other: string, amount: number, thing: string) => string;
}

const events: readonly Event[] = [
  { sign: '+', text: (subject, _, n, thing) => `${subject} finds ${n} more ${thing}.` },
  { sign: '+', text: (subject, _, n, thing) => `${subject} buys ${n} ${thing}.` },
  { sign: '+', text: (subject, other, n, thing) => `${subject} gets ${n} ${thing} from ${other}.` },
  { sign: '-', text: (subject, other, n, thing) => `${subject} gives ${n} ${thing} to ${other}.` },
  { sign: '-', text: (subject, _, n, thing) => `${subject} loses ${n} ${thing}.` },
  { sign: '-', text: (subject, _, n, thing) => `${subject} sells ${n} ${thing}.` },
];

const capital = (text: string) => text[0]!.toUpperCase() + text.slice(1);

/** Two short stories in which things are counted, with their calculations. */
export function countingStories(draws: Draws): string {
  const [first, then] = draws.chance(0.3) ? ['First ', 'Then '] : ['', ''];
  return `${first}${countingStory(draws)}\n${then}${countingStory(draws)}`;
}

function countingStory(draws: Draws): string {
  const [one, other] = draws.some(people, 2) as [Person, Person];
  const thing = draws.pick(things);
  const kind = draws.between(0, 3);
  if (kind === 0) {
    const [a, b] = [draws.between(2, 8), draws.between(2, 5)];
    const container = draws.pick(containers);
    return `${one.name} has ${a} ${container} with ${b} ${thing} in each of them: ${a} * ${b} = ${a * b} ${thing}.`;
  }
  if (kind === 1) {
    const [a, b] = [draws.between(3, largest - largestStep), draws.between(2, largestStep)];
    return `${one.name} has ${a} ${thing} and ${other.name} has ${b} ${thing}: ${a} + ${b} = ${a + b} ${thing} together.`;
  }
  const { sign, text } = draws.pick(events);
  const b = draws.between(2, largestStep);
  const a = draws.between(b + 1, largest - largestStep);
  const said = text(draws.chance(0.5) ? capital(one.subject) : one.name, other.name, b, thing);
  const result = sign === '+' ? a + b : a - b;
  return `${one.name} has ${a} ${thing}. ${said} That makes ${a} ${sign} ${b} = ${result} ${thing}.`;
}

/** Word problems of two or three steps. */
export function wordProblems(draws: Draws): Splits<WordProblem> {
  return drawSplits(
    () => wordProblem(draws),
    ({ question }) => question,
  );
}

function wordProblem(draws: Draws): WordProblem | null {
  const [one, other, third] = draws.some(people, 3) as Person[];
  const thing = draws.pick(things);
  const sentences: string[] = [];
  const lines: string[] = [];
  let held: number;
  if (draws.chance(0.4)) {
    const [a, b] = [draws.between(2, 8), draws.between(2, 5)];
    held = a * b;
    sentences.push(`${one!.name} has ${a} ${draws.pick(containers)} with ${b} ${thing} in each of them.`);
    lines.push(`${a} * ${b} = ${held}`);
  } else {
    held = draws.between(5, largest - largestStep);
    sentences.push(`${one!.name} has ${held} ${thing}.`);
  }
  const steps = lines.length + (draws.chance(0.75) ? 2 : 3) - 1;
  while (lines.length < steps) {
    const { sign, text } = draws.pick(events);
    const b = draws.between(2, largestStep);
    const next = sign === '+' ? held + b : held - b;
    if (next < 1 || next > largest) return null;
    sentences.push(text(capital(one!.subject), third!.name, b, thing));
    lines.push(`${held} ${sign} ${b} = ${next}`);
    held = next;
  }
  if (draws.chance(0.3)) {
    const b = draws.between(2, largestStep);
    if (held + b > largest) return null;
    sentences.push(`${other!.name} has ${b} ${thing}. How many ${thing} do they have together?`);
    lines.push(`${held} + ${b} = ${held + b}`);
    held += b;
  } else sentences.push(`How many ${thing} does ${one!.name} have now?`);
  const worked = lines.map((line, i) => `${i === 0 ? 'First' : 'Then'} ${line}.`);
  return lines.length < 2
    ? null
    : { question: sentences.join(' '), answer: `${worked.join('\n')}\n#### ${held}` };
}
