import type { Calibration } from '../../contract/forecast.ts';
import type { TrainConfig } from '../../contract/training.ts';

/** What a card can do at most, as its maker's data sheet says. */
interface CardPeaks {
  /** 10^12 operations a second of bf16 products that are summed in f32, without sparsity; null: it has no units. */
  bf16: number | null;
  /** The same of f32. */
  f32: number;
  /** 10^9 bytes a second between the card and its memory. */
  bandwidth: number;
}

const peaks = (bf16: number | null, f32: number, bandwidth: number): CardPeaks => ({ bf16, f32, bandwidth });

/**
 * By what nvidia-smi calls a card, the longer names before those that they begin with. From NVIDIA's data sheets and
 * white papers; of GeForce cards the rate with f32 sums, which is half of that with f16 sums.
 */
const known: readonly (readonly [name: RegExp, peaks: CardPeaks])[] = [
  [/\bB200\b/, peaks(2250, 75, 8000)],
  [/\bGH200\b/, peaks(989, 67, 4000)],
  [/\bH200\b/, peaks(989, 67, 4800)],
  [/\bH100 PCIe\b/, peaks(756, 51, 2000)],
  [/\bH100 NVL\b/, peaks(835, 60, 3900)],
  [/\bH[18]00\b/, peaks(989, 67, 3350)],
  [/\bH20\b/, peaks(148, 44, 4000)],
  [/\bA[18]00\b.*80GB/, peaks(312, 19.5, 1935)],
  [/\bA[18]00\b/, peaks(312, 19.5, 1555)],
  [/\bL40S\b/, peaks(362, 91.6, 864)],
  [/\bL40\b/, peaks(181, 90.5, 864)],
  [/\bL4\b/, peaks(121, 30.3, 300)],
  [/\bA40\b/, peaks(150, 37.4, 696)],
  [/\bA30\b/, peaks(165, 10.3, 933)],
  [/\bA10G\b/, peaks(70, 31.2, 600)],
  [/\bA10\b/, peaks(125, 31.2, 600)],
  [/\bRTX PRO 6000 Blackwell\b/, peaks(504, 126, 1792)],
  [/\bRTX 6000 Ada\b/, peaks(364, 91.1, 960)],
  [/\bRTX A6000\b/, peaks(155, 38.7, 768)],
  [/\bRTX A5000\b/, peaks(111, 27.8, 768)],
  [/\bRTX A4000\b/, peaks(77, 19.2, 448)],
  [/\bRTX 5090\b/, peaks(209.5, 105, 1792)],
  [/\bRTX 5080\b/, peaks(112.6, 56, 960)],
  [/\bRTX 5070 Ti\b/, peaks(88, 44, 896)],
  [/\bRTX 5070\b/, peaks(62, 31, 672)],
  [/\bRTX 4090\b/, peaks(165.2, 83, 1008)],
  [/\bRTX 4080\b/, peaks(97.5, 49, 717)],
  [/\bRTX 4070 Ti\b/, peaks(80, 40, 504)],
  [/\bRTX 4070\b/, peaks(58, 29, 504)],
  [/\bRTX 4060 Ti\b/, peaks(44, 22, 288)],
  [/\bRTX 4060\b/, peaks(30, 15, 272)],
  [/\bRTX 3090\b/, peaks(71, 36, 936)],
  [/\bRTX 3080\b/, peaks(59.5, 30, 760)],
  [/\bRTX 3070\b/, peaks(41, 20, 448)],
  [/\bRTX 3060\b/, peaks(26, 12.7, 360)],
  [/\bV100\b/, peaks(null, 15.7, 900)],
  [/\bT4\b/, peaks(null, 8.1, 320)],
];

/** A card of which only the age is known: as small as those of its kind are that have memory enough to train on. */
const unnamed = { ampere: peaks(40, 15, 400), older: peaks(null, 8, 300) };

/**
 * How much of its peak a card is taken to reach over a whole step, products and what lies between them: guessed, never
 * measured here. It is replaced by what was measured on the card.
 */
const shareOfPeak = { products: 0.3, bandwidth: 0.6 };
/** A laptop's card is called as a desktop's, and has fewer units and less power: half is taken, a guess, too. */
const shareOfLaptop = 0.5;

export type CardName = Pick<NonNullable<Calibration['gpu']>, 'name' | 'capability'>;

/** What a card is guessed to do before anything was measured on it. */
export interface CardRates {
  /** Products of a second. */
  flops: number;
  /** Bytes a second of weights that are read. */
  bytes: number;
  /** Of which peak the first is a share, in words: `30 % of the 181 TFLOP/s in bf16 of NVIDIA's data sheet`. */
  source: string;
}

/**
 * @param products how matrices are multiplied: bf16 on a card without units for it is multiplied as f32, TF32 takes the
 * same units at half their rate
 */
export function cardRates(card: CardName, products: Products): CardRates {
  const sheet = known.find(([name]) => name.test(card.name))?.[1];
  // Cards whose capability is not told are recent ones: older drivers do not tell it of older cards.
  const isOld = card.capability !== null && card.capability !== undefined && Number(card.capability) < 8;
  const { bf16, f32, bandwidth } = sheet ?? (isOld ? unnamed.older : unnamed.ampere);
  const [peak, kind] =
    products === 'f32' || bf16 === null
      ? [f32, 'f32']
      : products === 'tf32'
        ? [bf16 / 2, 'TF32']
        : [bf16, 'bf16'];
  const isLaptop = /\bLaptop\b|\bMax-Q\b|\bMobile\b/.test(card.name);
  const share = shareOfPeak.products * (isLaptop ? shareOfLaptop : 1);
  const of = sheet
    ? `the ${peak} TFLOP/s in ${kind} of NVIDIA's data sheet for ${isLaptop ? 'the desktop card of that name' : 'it'}`
    : `${peak} TFLOP/s in ${kind}, a small card's: this one is not in the studio's list`;
  return {
    flops: share * peak * 1e12,
    bytes: shareOfPeak.bandwidth * bandwidth * 1e9,
    source: `${Math.round(100 * share)} % of ${of}`,
  };
}

/** Names behind which a card has other units or clocks than the one of the list that is called so far alike. */
const isVariant = /^ (?:Ti|SUPER|D|Laptop|Mobile|Max-Q)\b/;

/**
 * Products of bf16 matrices with sums in f32 that a card does in a second at most, by the name that nvidia-smi gives;
 * null: it is not known, as of a laptop's card or another variant of one in the list.
 */
export function bf16PeakOf(name: string): number | null {
  const found = known.flatMap(([pattern, { bf16 }]) => {
    const match = pattern.exec(name);
    return match ? [{ bf16, rest: name.slice(match.index + match[0].length) }] : [];
  })[0];
  return found?.bf16 && !isVariant.test(found.rest) ? found.bf16 * 1e12 : null;
}

/** How matrices are multiplied. */
export type Products = TrainConfig['precision'] | 'tf32';
