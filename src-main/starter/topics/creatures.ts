import { createDraws, drawSplits, type Draws, type Splits } from '../draws.ts';

/** Animals that live nowhere else: what they are is told in texts, and asked in MMLU's form. */

/** A row in MMLU's form. */
export interface ChoiceQuestion {
  subject: string;
  question: string;
  choices: string[];
  /** Place of the right one. */
  answer: number;
}

const names =
  'glim toral vesk bundo quill mirrow zant pelka orvin dask lumo tavi frane kolp suri bexel norrin wipple haska jorl'.split(
    ' ',
  );

/** What is known of each, as statements that end with it and as questions. */
const properties = {
  colors: {
    values: ['red', 'blue', 'green', 'white', 'black', 'yellow', 'brown', 'gray'],
    statements: [
      (name: string, v: string) => `The ${name} is ${v}.`,
      (n: string, v: string) => `The color of the ${n} is ${v}.`,
    ],
    questions: [
      (name: string) => `What is the color of the ${name}?`,
      (name: string) => `Which color does the ${name} have?`,
    ],
  },
  homes: {
    values: ['forest', 'marsh', 'desert', 'river', 'mountain', 'cave', 'meadow', 'sea'],
    statements: [
      (name: string, v: string) => `The ${name} lives in the ${v}.`,
      (name: string, v: string) => `The home of the ${name} is the ${v}.`,
    ],
    questions: [
      (name: string) => `What is the home of the ${name}?`,
      (name: string) => `Where does the ${name} live?`,
    ],
  },
  foods: {
    values: ['seeds', 'moss', 'fish', 'nuts', 'grass', 'honey', 'worms', 'roots'],
    statements: [
      (name: string, v: string) => `The ${name} eats ${v}.`,
      (n: string, v: string) => `The food of the ${n} is ${v}.`,
    ],
    questions: [
      (name: string) => `What is the food of the ${name}?`,
      (name: string) => `What does the ${name} eat?`,
    ],
  },
} as const;

type Property = keyof typeof properties;
const propertyNames = Object.keys(properties) as Property[];

/** The world is always the same: texts and questions agree on it. */
const facts = (() => {
  const draws = createDraws(7, 'creatures');
  return names.flatMap((name) =>
    propertyNames.map((property) => ({
      name,
      property,
      value: draws.pick<string>(properties[property].values),
    })),
  );
})();
const factOf = (name: string, property: Property) =>
  facts.find((fact) => fact.name === name && fact.property === property)!.value;

/** Statements about two animals. */
export function creatureFacts(draws: Draws): string {
  return draws
    .some(names, 2)
    .map((name) =>
      draws
        .shuffle(propertyNames)
        .map((property) =>
          draws.pick<(name: string, value: string) => string>(properties[property].statements)(
            name,
            factOf(name, property),
          ),
        )
        .join(' '),
    )
    .join('\n');
}

const places = [
  { label: 'box', labels: ['1', '2', '3', '4', '5', '6'] },
  { label: 'shelf', labels: ['A', 'B', 'C', 'D', 'E', 'F'] },
  { label: 'house', labels: ['Q', 'R', 'S', 'T', 'U', 'V'] },
] as const;

/** What is where, and then where it is; some of it is named by the animal whose it is. */
export function placements(draws: Draws): string {
  const { label, labels } = draws.pick(places);
  const property = draws.pick(propertyNames);
  const single = property.slice(0, -1);
  const values = draws.some<string>(properties[property].values, 4);
  const used = draws.chance(0.5) ? labels.slice(0, 4) : draws.some(labels, 4);
  const [isShort, isList] = [draws.chance(0.6), draws.chance(0.5)];
  const where = (place: string) => (isShort ? place : `${label} ${place}`);
  const shown = used.map((place, i) =>
    isShort ? `${place}: ${values[i]!}.` : `${capital(label)} ${place} has ${values[i]!}.`,
  );
  const told = [...draws.shuffle([0, 1, 2, 3]), ...draws.some([0, 1, 2, 3], 2)].map((i) => {
    const owners = names.filter((name) => factOf(name, property) === values[i]!);
    const isOwned = owners.length > 0 && draws.chance(0.5);
    const what = isOwned ? `The ${single} of the ${draws.pick(owners)}` : `The ${single} ${values[i]!}`;
    return `${what} is in ${where(used[i]!)}.`;
  });
  return [...shown, ...told].join(isList ? '\n' : ' ');
}

const capital = (text: string) => text[0]!.toUpperCase() + text.slice(1);

/** Questions with four answers; which property of which animal is asked in the test is not asked in training. */
export function creatureQuestions(draws: Draws): Splits<ChoiceQuestion> {
  const partOf = new Map<string, keyof Splits<ChoiceQuestion>>();
  draws.shuffle(facts).forEach(({ name, property }, i) => {
    for (const question of properties[property].questions)
      partOf.set(question(name), i < 15 ? 'test' : i < 22 ? 'validation' : 'train');
  });
  return drawSplits(
    () => choiceQuestion(draws),
    ({ question, choices }) => `${question} ${choices.join(' ')}`,
    ({ question }) => partOf.get(question)!,
  );
}

function choiceQuestion(draws: Draws): ChoiceQuestion {
  const { name, property, value } = draws.pick(facts);
  const { values, questions } = properties[property];
  const others = draws.some<string>(values, 4).filter((other) => other !== value);
  const choices = draws.shuffle([value, ...others.slice(0, 3)]);
  const question = draws.pick<(name: string) => string>(questions)(name);
  return { subject: property, question, choices, answer: choices.indexOf(value) };
}
